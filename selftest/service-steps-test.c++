#include "selftest/service-steps.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "libs/oslite-frames/bundle-image.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {
namespace {

// Answers every frame with the same bytes, and remembers the frame.
template <typename Interface>
class Canned final : public Interface::Server {
 public:
  Canned(kj::Array<kj::byte> reply, kj::Array<kj::byte>& asked) : reply(kj::mv(reply)), asked(asked) {}
  kj::Promise<void> osLite(typename Interface::Server::OsLiteContext context) override {
    asked = kj::heapArray<kj::byte>(context.getParams().getFrame());
    context.getResults().setReply(reply);
    return kj::READY_NOW;
  }

 private:
  kj::Array<kj::byte> reply;
  kj::Array<kj::byte>& asked;
};

template <typename Interface, typename Step>
bool passes(Step step, kj::Array<kj::byte> reply, kj::Array<kj::byte>* asked = nullptr) {
  SimClock clock;
  kj::Array<kj::byte> ignored;
  typename Interface::Client client = kj::heap<Canned<Interface>>(kj::mv(reply), asked == nullptr ? ignored : *asked);
  return kj::runCatchingExceptions([&] { clock.run(step(client)); }) == nullptr;
}

TEST_CASE("samgrd's probes take the reply that the contract names and no other") {
  using idl::Samgr;
  auto ok = [](sm::Op op, uint32_t send, uint32_t recv) { return sm::encodeReply(op, sm::Status::OK, send, recv); };
  kj::Array<kj::byte> asked;
  CHECK(passes<Samgr>(samgrRegister, ok(sm::Op::REGISTER, 0, 0), &asked));
  CHECK(sm::decodeRequest(asked).is<sm::Register>());
  CHECK_FALSE(passes<Samgr>(samgrRegister, sm::encodeReply(sm::Op::REGISTER, sm::Status::MALFORMED)));
  CHECK_FALSE(passes<Samgr>(samgrRegister, ok(sm::Op::LOOKUP, 0, 0)));

  CHECK(passes<Samgr>(samgrLookup, ok(sm::Op::LOOKUP, 0x0102, 0x0304)));
  CHECK_FALSE(passes<Samgr>(samgrLookup, ok(sm::Op::LOOKUP, 0x0304, 0x0102)));
  CHECK_FALSE(passes<Samgr>(samgrLookup, sm::encodeReply(sm::Op::LOOKUP, sm::Status::NOT_FOUND)));

  CHECK(passes<Samgr>(samgrUnknown, sm::encodeReply(sm::Op::LOOKUP, sm::Status::NOT_FOUND)));
  CHECK_FALSE(passes<Samgr>(samgrUnknown, ok(sm::Op::LOOKUP, 0, 0)));

  CHECK(passes<Samgr>(samgrMalformed, sm::encodeFault({0x82, sm::Status::MALFORMED}), &asked));
  CHECK(asked.size() == 3);
  CHECK_FALSE(passes<Samgr>(samgrMalformed, ok(sm::Op::LOOKUP, 0, 0)));
  CHECK_FALSE(passes<Samgr>(samgrMalformed, kj::Array<kj::byte>()));
}

TEST_CASE("bundlemgrd's probes take the reply that the contract names and no other") {
  using idl::Bundlemgr;
  kj::Array<kj::byte> asked;
  CHECK(passes<Bundlemgr>(bundlemgrList, bn::encodeListReply(1), &asked));
  CHECK(bn::decodeRequest(asked).is<bn::List>());
  CHECK_FALSE(passes<Bundlemgr>(bundlemgrList, bn::encodeListReply(0)));
  CHECK_FALSE(passes<Bundlemgr>(bundlemgrList, bn::encodeFault(bn::Op::LIST, bn::Status::MALFORMED)));

  nxbi::Entry entry{"system"_kj.asArray(), "1.0.0"_kj.asArray(), "build.prop"_kj.asArray(), nxbi::KIND_FILE,
                    "x"_kj.asBytes()};
  auto image = KJ_ASSERT_NONNULL(nxbi::tryEncodeImage(kj::arrayPtr(&entry, 1)));
  auto empty = KJ_ASSERT_NONNULL(nxbi::tryEncodeImage(nullptr));
  CHECK(passes<Bundlemgr>(bundlemgrImage, bn::encodeImageReply(image)));
  CHECK_FALSE(passes<Bundlemgr>(bundlemgrImage, bn::encodeImageReply(empty)));
  CHECK_FALSE(passes<Bundlemgr>(bundlemgrImage, bn::encodeImageReply(image.slice(0, image.size() - 1))));

  CHECK(passes<Bundlemgr>(bundlemgrMalformed, bn::encodeFault({0x81, bn::Status::MALFORMED}), &asked));
  CHECK(asked.size() == 3);
  CHECK_FALSE(passes<Bundlemgr>(bundlemgrMalformed, bn::encodeListReply(0)));
}

}  // namespace
}  // namespace nexus
