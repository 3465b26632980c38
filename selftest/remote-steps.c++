#include "selftest/remote-steps.h"

#include <kj/debug.h>

#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr kj::StringPtr STATEFS = "statefsd"_kj, PACKAGEFS = "packagefsd"_kj;

kj::ArrayPtr<const kj::byte> valueBytes() {
  return RemoteSteps::STATE_VALUE.asBytes();
}

void requireOk(sf::Status status, kj::StringPtr what) {
  if (status != sf::Status::OK) failStep(kj::str(what, ": statefs status ", kj::uint(status)));
}

void requireOk(pk::Status status, kj::StringPtr what) {
  if (status != pk::Status::OK) failStep(kj::str(what, ": packagefs status ", kj::uint(status)));
}

template <typename T>
T required(kj::Maybe<T> reply, kj::StringPtr what) {
  KJ_IF_MAYBE (r, reply) return kj::mv(*r);
  failStep(kj::str(what, ": the reply is not one"));
}

}  // namespace

// The status; of a GET that is OK the value must be the one that was put.
kj::Promise<sf::Status> RemoteSteps::state(sf::Op op, sf::Request request) {
  request.nonce = ++nonce;
  auto asked = request.nonce;
  auto frame = co_await call(STATEFS, KJ_ASSERT_NONNULL(sf::tryEncodeRequest(request)));
  auto reply = required(sf::decodeReply(op, frame), "statefs");
  if (!sf::answers(asked, reply)) failStep("statefs: the reply answers another request");
  if (op == sf::Op::GET && reply.status == sf::Status::OK && reply.value != valueBytes())
    failStep("statefs: another value came back than was put");
  co_return reply.status;
}

kj::Promise<void> RemoteSteps::statefs() {
  auto key = STATE_KEY.asArray();
  requireOk(co_await state(sf::Op::PUT, {nullptr, sf::Put{key, valueBytes()}}), "put");
  requireOk(co_await state(sf::Op::GET, {nullptr, sf::Get{key}}), "get");
  requireOk(co_await state(sf::Op::DEL, {nullptr, sf::Del{key}}), "delete");
  auto gone = co_await state(sf::Op::GET, {nullptr, sf::Get{key}});
  if (gone != sf::Status::NOT_FOUND)
    failStep(
        kj::str("get of what was deleted: statefs status ", kj::uint(gone), ", not ", kj::uint(sf::Status::NOT_FOUND)));
}

kj::Promise<void> RemoteSteps::packageStat() {
  auto frame = co_await call(PACKAGEFS, KJ_ASSERT_NONNULL(pk::tryEncodeStat(PACKAGE_PATH.asArray())));
  auto reply = required(pk::decodeStatReply(frame), "stat");
  requireOk(reply.status, "stat");
  if (reply.kind != pk::KIND_FILE || reply.size != PACKAGE_CONTENT.size())
    failStep(kj::str("stat: kind ", reply.kind, " of ", reply.size, " bytes, not a file of ", PACKAGE_CONTENT.size()));
  stated = true;
}

kj::Promise<void> RemoteSteps::packageOpen() {
  auto frame = co_await call(PACKAGEFS, KJ_ASSERT_NONNULL(pk::tryEncodeOpen(PACKAGE_PATH.asArray())));
  auto reply = required(pk::decodeOpenReply(frame), "open");
  requireOk(reply.status, "open");
  if (reply.handle == 0) failStep("open: the handle is 0, which names no file");
  handle = reply.handle;
}

kj::Array<kj::byte> RemoteSteps::readFrame() {
  KJ_IF_MAYBE (h, handle) return KJ_ASSERT_NONNULL(pk::tryEncodeRead(*h, 0, PACKAGE_READ));
  failStep("nothing was opened");
}

kj::Promise<void> RemoteSteps::packageRead() {
  auto frame = co_await call(PACKAGEFS, readFrame());
  auto reply = required(pk::decodeReadReply(frame), "read");
  requireOk(reply.status, "read");
  if (reply.data.size() != PACKAGE_CONTENT.size())
    failStep(kj::str("read: ", reply.data.size(), " bytes of a file of ", PACKAGE_CONTENT.size()));
  content = kj::str(reply.data.asChars());
}

kj::Promise<void> RemoteSteps::packageClose() {
  KJ_IF_MAYBE (h, handle) {
    auto frame = co_await call(PACKAGEFS, pk::encodeClose(*h));
    requireOk(required(pk::decodeCloseReply(frame), "close"), "close");
  } else {
    failStep("nothing was opened");
  }
  auto frame = co_await call(PACKAGEFS, readFrame());
  auto after = required(pk::decodeReadReply(frame), "read");
  if (after.status != pk::Status::BADF)
    failStep(kj::str("a read of the closed handle: packagefs status ", kj::uint(after.status), ", not ",
                     kj::uint(pk::Status::BADF)));
  closed = true;
}

kj::Promise<void> RemoteSteps::packageFlow() {
  if (!stated || handle == nullptr || !closed) failStep("stat, open, read and close did not all succeed");
  KJ_IF_MAYBE (text, content) {
    if (*text != PACKAGE_CONTENT) failStep("the content is not that of the file");
    return kj::READY_NOW;
  }
  failStep("nothing was read");
}

}  // namespace nexus
