#include "daemons/dsoftbusd/trust/trust-grace.h"

#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

// An entry of node-b2 that was node-b, loaded on 2026-11-20 at noon.
struct Fixture {
  capnp::MallocMessageBuilder message;
  config::Dsoftbusd::Trust::Builder entry = message.initRoot<config::Dsoftbusd::Trust>();
  PublicIdentity before = DeviceIdentity::forTest("node-b").publicIdentity();
  LoadTime now{kj::UNIX_EPOCH, kj::origin<kj::TimePoint>() + 5 * kj::SECONDS};

  Fixture() {
    now.wall = KJ_ASSERT_NONNULL(tryParseUtc("2026-11-20T12:00:00Z"));
    entry.setDeviceId(DeviceIdentity::forTest("node-b2").deviceId());
    entry.setPreviousDeviceId(before.deviceId);
    entry.setPreviousStaticKey(toHex(before.staticKey));
    entry.setPreviousUntil("2026-11-20T12:01:00Z");
  }
  kj::OneOf<kj::Maybe<PreviousIdentity>, kj::String> check() { return checkPrevious(entry.asReader(), now); }
};

TEST_CASE("a grace lasts as long by the daemon's clock as it does by the wall clock at the moment of loading") {
  Fixture f;
  auto checked = f.check();
  auto& previous = KJ_ASSERT_NONNULL(checked.get<kj::Maybe<PreviousIdentity>>());
  CHECK(previous.until == f.now.timer + 60 * kj::SECONDS);
  CHECK(previous.identity.deviceId == f.before.deviceId);
  CHECK(previous.identity.staticKey == f.before.staticKey);
}

TEST_CASE("a grace that is over, or that nobody spoke of, is none") {
  Fixture f;
  f.entry.setPreviousUntil("2026-11-20T12:00:00Z");
  CHECK(f.check().get<kj::Maybe<PreviousIdentity>>() == nullptr);
  Fixture g;
  g.entry.setPreviousDeviceId(""), g.entry.setPreviousStaticKey(""), g.entry.setPreviousUntil("");
  CHECK(g.check().get<kj::Maybe<PreviousIdentity>>() == nullptr);
}

TEST_CASE("a part that is missing or wrong is named") {
  Fixture f;
  f.entry.setPreviousUntil("");
  CHECK(f.check().get<kj::String>().startsWith("previousUntil"));
  f.entry.setPreviousStaticKey("12");
  CHECK(f.check().get<kj::String>().startsWith("previousStaticKey"));
  f.entry.setPreviousDeviceId("");
  CHECK(f.check().get<kj::String>().startsWith("previousDeviceId must"));
  f.entry.setPreviousDeviceId(f.entry.asReader().getDeviceId());
  CHECK(f.check().get<kj::String>() == "previousDeviceId is the device id itself");
}

}  // namespace
}  // namespace nexus
