#include "daemons/dsoftbusd/discovery/ignored-peers.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

constexpr kj::TimePoint START = kj::origin<kj::TimePoint>();
const SocketAddress AT{IpAddress::v4(10, 42, 0, 66), 34567};

TEST_CASE("a device is news once for each reason, and its announcements are counted") {
  IgnoredPeers ignored;
  CHECK(ignored.note("x", AT, "another mesh", START));
  CHECK(!ignored.note("x", AT, "another mesh", START + 1 * kj::SECONDS));
  CHECK(KJ_ASSERT_NONNULL(ignored.find("x")).count == 2);
  CHECK(KJ_ASSERT_NONNULL(ignored.find("x")).lastHeard == START + 1 * kj::SECONDS);
  CHECK(ignored.note("x", AT, "another key", START));
  CHECK(KJ_ASSERT_NONNULL(ignored.find("x")).count == 1);
  CHECK(ignored.forget("x"));
  CHECK(!ignored.forget("x"));
  CHECK(ignored.find("x") == nullptr);
}

TEST_CASE("a full list forgets the device unheard for longest, and counts it") {
  IgnoredPeers ignored(2);
  ignored.note("x", AT, "another mesh", START);
  ignored.note("y", AT, "another mesh", START);
  ignored.note("x", AT, "another mesh", START);
  CHECK(ignored.forgotten() == 0);
  ignored.note("z", AT, "another mesh", START);
  CHECK(ignored.all().size() == 2);
  CHECK(ignored.find("y") == nullptr);
  CHECK(ignored.forgotten() == 1);
}

TEST_CASE("a device that is no longer heard is dropped after its time") {
  IgnoredPeers ignored;
  ignored.note("x", AT, "another mesh", START);
  ignored.note("y", AT, "another mesh", START + 30 * kj::SECONDS);
  CHECK(!ignored.expire(START + 59 * kj::SECONDS, 60 * kj::SECONDS));
  CHECK(ignored.expire(START + 60 * kj::SECONDS, 60 * kj::SECONDS));
  CHECK(ignored.find("x") == nullptr);
  CHECK(ignored.find("y") != nullptr);
}

}  // namespace
}  // namespace nexus
