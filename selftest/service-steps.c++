#include "selftest/service-steps.h"

#include <kj/debug.h>

#include "libs/oslite-frames/bundle-image.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr kj::StringPtr NAME = "vfsd"_kj;
constexpr kj::StringPtr NOBODY = "does.not.exist"_kj;
constexpr kj::StringPtr BAD = "bad"_kj;
constexpr uint32_t SEND_SLOT = 0x0102;
constexpr uint32_t RECV_SLOT = 0x0304;
constexpr uint16_t BUNDLES = 1;  // in the image of every test guest

template <typename Service>
kj::Promise<kj::Array<kj::byte>> ask(typename Service::Client service, kj::Array<const kj::byte> frame) {
  auto request = service.osLiteRequest();
  request.setFrame(frame);
  auto response = co_await request.send();
  co_return kj::heapArray<kj::byte>(response.getReply());
}

template <typename T>
T decoded(kj::Maybe<T> reply, kj::StringPtr what) {
  KJ_IF_MAYBE (r, reply) return kj::mv(*r);
  failStep(kj::str(what, ": the reply is not one"));
}

template <typename Status>
void requireStatus(Status got, Status expected, kj::StringPtr what) {
  if (got != expected) failStep(kj::str(what, ": status ", kj::uint(got), ", expected ", kj::uint(expected)));
}

}  // namespace

kj::Promise<void> samgrRegister(idl::Samgr::Client samgr) {
  auto reply =
      co_await ask<idl::Samgr>(samgr, KJ_ASSERT_NONNULL(sm::tryEncodeRegister(NAME.asArray(), SEND_SLOT, RECV_SLOT)));
  requireStatus(decoded(sm::decodeReply(reply, sm::Op::REGISTER), "REGISTER").status, sm::Status::OK, "REGISTER");
}

kj::Promise<void> samgrLookup(idl::Samgr::Client samgr) {
  auto frame = co_await ask<idl::Samgr>(samgr, KJ_ASSERT_NONNULL(sm::tryEncodeLookup(NAME.asArray())));
  auto reply = decoded(sm::decodeReply(frame, sm::Op::LOOKUP), "LOOKUP");
  requireStatus(reply.status, sm::Status::OK, "LOOKUP");
  if (reply.sendSlot != SEND_SLOT || reply.recvSlot != RECV_SLOT) failStep("LOOKUP: other slots than were registered");
}

kj::Promise<void> samgrUnknown(idl::Samgr::Client samgr) {
  auto reply = co_await ask<idl::Samgr>(samgr, KJ_ASSERT_NONNULL(sm::tryEncodeLookup(NOBODY.asArray())));
  requireStatus(decoded(sm::decodeReply(reply, sm::Op::LOOKUP), "LOOKUP").status, sm::Status::NOT_FOUND, "LOOKUP");
}

kj::Promise<void> samgrMalformed(idl::Samgr::Client samgr) {
  auto frame = co_await ask<idl::Samgr>(samgr, kj::heapArray(BAD.asBytes()));
  auto reply = decoded(sm::decodeAnyReply(frame), "a malformed request");
  if (reply.reply.status == sm::Status::OK) failStep("a malformed request was answered OK");
}

kj::Promise<void> bundlemgrList(idl::Bundlemgr::Client bundlemgr) {
  auto frame = co_await ask<idl::Bundlemgr>(bundlemgr, bn::encodeList());
  auto reply = decoded(bn::decodeListReply(frame), "LIST");
  requireStatus(reply.status, bn::Status::OK, "LIST");
  if (reply.count != BUNDLES) failStep(kj::str("LIST: ", reply.count, " bundles, expected ", BUNDLES));
}

kj::Promise<void> bundlemgrImage(idl::Bundlemgr::Client bundlemgr) {
  auto frame = co_await ask<idl::Bundlemgr>(bundlemgr, bn::encodeFetchImage());
  auto reply = decoded(bn::decodeImageReply(frame), "FETCH_IMAGE");
  requireStatus(reply.status, bn::Status::OK, "FETCH_IMAGE");
  auto entries = decoded(nxbi::decodeImage(reply.image), "the image");
  if (entries.size() == 0) failStep("the image holds no file");
}

kj::Promise<void> bundlemgrMalformed(idl::Bundlemgr::Client bundlemgr) {
  auto frame = co_await ask<idl::Bundlemgr>(bundlemgr, kj::heapArray(BAD.asBytes()));
  auto reply = decoded(bn::decodeFault(frame), "a malformed request");
  if (reply.status == bn::Status::OK) failStep("a malformed request was answered OK");
}

}  // namespace nexus
