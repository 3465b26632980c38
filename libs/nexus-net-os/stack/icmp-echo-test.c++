#include "libs/nexus-net-os/stack/icmp-echo.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using idl::Outcome;
constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;
bool isIcmp(const WireFrame& f) {
  return f.isIcmp();
}

kj::Array<const kj::byte> payload() {
  return kj::heapArray(bytesOf("sixteen bytes!!!"));
}

struct EchoFixture : StackFixture {
  using StackFixture::StackFixture;
  IcmpEcho echo{stack};

  struct Request {
    uint16_t identifier, sequence;
  };
  Request request() {
    auto frame = expect(isIcmp);
    CHECK(frame.payload[0] == 8);
    CHECK(frame.checksumsRight);
    CHECK(frame.destination == PEER);
    return {be16(frame.payload, 4), be16(frame.payload, 6)};
  }
  void reply(kj::byte type, uint16_t identifier, uint16_t sequence, kj::ArrayPtr<const kj::byte> data,
             IpAddress from = PEER) {
    peer.sendIp(1, icmpEcho(type, identifier, sequence, data), STACK, from);
    sim.settle();
  }
};

TEST_CASE("the right reply ends a ping and tells the time it took") {
  EchoFixture f;
  auto ping = f.echo.ping(PEER, payload(), 3 * kj::SECONDS);
  auto r = f.request();
  f.sim.advance(25 * kj::MILLISECONDS);
  f.reply(0, r.identifier, r.sequence, payload());
  auto result = f.sim.run(kj::mv(ping));
  CHECK(result.outcome == Outcome::OK);
  CHECK(result.roundTrip == 25 * kj::MILLISECONDS);
}

TEST_CASE("nothing but the right reply counts") {
  EchoFixture f;
  auto ping = f.echo.ping(PEER, payload(), 1 * kj::SECONDS);
  auto r = f.request();
  f.reply(0, r.identifier + 1, r.sequence, payload());
  f.reply(0, r.identifier, r.sequence + 1, payload());
  f.reply(0, r.identifier, r.sequence, bytesOf("sixteen bytes???"));
  f.reply(0, r.identifier, r.sequence, bytesOf("short"));
  f.reply(0, r.identifier, r.sequence, payload(), IpAddress::v4(10, 42, 0, 77));
  f.reply(8, r.identifier, r.sequence, payload());
  CHECK(!ping.poll(f.sim.waitScope));
  auto result = f.sim.run(kj::mv(ping));
  CHECK(result.outcome == Outcome::TIMED_OUT);
  CHECK(f.sim.timer.now() - kj::origin<kj::TimePoint>() == 1 * kj::SECONDS);
}

TEST_CASE("an ICMP error that quotes the request makes it unreachable, one that quotes another does not") {
  EchoFixture f;
  auto ping = f.echo.ping(PEER, payload(), 1 * kj::SECONDS);
  auto r = f.request();
  auto error = [&](uint16_t sequence) {
    auto quoted = ipv4Packet({STACK, PEER, 1}, icmpEcho(8, r.identifier, sequence, payload()));
    f.reply(3, 0, 0, quoted);
  };
  error(r.sequence + 1);
  CHECK(!ping.poll(f.sim.waitScope));
  error(r.sequence);
  CHECK(f.sim.run(kj::mv(ping)).outcome == Outcome::UNREACHABLE);
}

TEST_CASE("several pings at once are told apart, also from two echo objects") {
  EchoFixture f;
  IcmpEcho other(f.stack);
  auto first = f.echo.ping(PEER, payload(), 1 * kj::SECONDS);
  auto a = f.request();
  auto second = other.ping(PEER, payload(), 1 * kj::SECONDS);
  auto b = f.request();
  f.reply(0, b.identifier, b.sequence, payload());
  CHECK(f.sim.run(kj::mv(second)).outcome == Outcome::OK);
  CHECK(!first.poll(f.sim.waitScope));
  f.reply(0, a.identifier, a.sequence, payload());
  CHECK(f.sim.run(kj::mv(first)).outcome == Outcome::OK);
}

TEST_CASE("a ping without a route is unreachable; too much payload and too many at once are refused") {
  EchoFixture f;
  CHECK(f.sim.run(f.echo.ping(IpAddress::v4(8, 8, 8, 8), payload(), 1 * kj::SECONDS)).outcome == Outcome::UNREACHABLE);
  auto error = kj::runCatchingExceptions(
      [&]() { f.sim.run(f.echo.ping(PEER, kj::heapArray<kj::byte>(IcmpEcho::MAX_PAYLOAD + 1), 1 * kj::SECONDS)); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::FAILED);
  kj::Vector<kj::Promise<IcmpEcho::Result>> pings;
  for (size_t i = 0; i < IcmpEcho::MAX_PENDING; ++i) pings.add(f.echo.ping(PEER, payload(), 1 * kj::SECONDS));
  error = kj::runCatchingExceptions([&]() { f.sim.run(f.echo.ping(PEER, payload(), 1 * kj::SECONDS)); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::OVERLOADED);
  pings.clear();  // dropping makes room
  CHECK(f.sim.run(f.echo.ping(PEER, payload(), 1 * kj::SECONDS)).outcome == Outcome::TIMED_OUT);
}

TEST_CASE("groups and broadcast addresses are not pinged") {
  EchoFixture f;
  auto before = f.stack.counters().txFrames;
  for (auto to : {IpAddress::v4(255, 255, 255, 255), IpAddress::v4(10, 42, 0, 255), IpAddress::v4(224, 0, 0, 1)}) {
    auto failure = kj::runCatchingExceptions([&] { f.sim.run(f.echo.ping(to, payload(), 1 * kj::SECONDS)); });
    CHECK(KJ_REQUIRE_NONNULL(failure).getType() == kj::Exception::Type::FAILED);
  }
  CHECK(f.stack.counters().txFrames == before);
}

TEST_CASE("the node answers pings to its own address, and to no other") {
  EchoFixture f;
  auto ask = [&](IpAddress destination, IpAddress source = PEER) {
    f.peer.sendIp(1, icmpEcho(8, 7, 9, payload()), destination, source);
    f.sim.settle();
  };
  ask(STACK);
  auto reply = f.expect(isIcmp);
  CHECK(reply.payload[0] == 0);
  CHECK(be16(reply.payload, 4) == 7);
  CHECK(be16(reply.payload, 6) == 9);
  CHECK(reply.payload.slice(8, reply.payload.size()) == payload().asPtr());
  CHECK(reply.destination == PEER);
  CHECK(reply.checksumsRight);
  ask(IpAddress::v4(10, 42, 0, 55));
  ask(IpAddress::v4(10, 42, 0, 255));
  ask(IpAddress::v4(255, 255, 255, 255));
  ask(IpAddress::v4(224, 0, 0, 1));
  ask(IpAddress::v4(127, 0, 0, 1));
  CHECK(f.quiet(isIcmp));
}

TEST_CASE("echo replies are limited") {
  auto options = StackFixture::ipv4Only();
  options.echoReplyPerSecond = 10;
  EchoFixture f(options);
  for (uint16_t i = 0; i < 30; ++i) f.reply(8, 1, i, payload());
  size_t replies = 0;
  while (f.peer.take(isIcmp) != nullptr) ++replies;
  CHECK(replies == 10);
  CHECK(f.stack.counters().limitedEchoReplies == 20);
  f.sim.advance(1 * kj::SECONDS);
  f.reply(8, 1, 1, payload());
  CHECK(!f.quiet(isIcmp));
}

TEST_CASE("a node pings its own address without the link") {
  EchoFixture f;
  CHECK(f.sim.run(f.echo.ping(STACK, payload(), 1 * kj::SECONDS)).outcome == Outcome::OK);
  CHECK(f.quiet(isIcmp));
}

TEST_CASE("when the stack goes, a waiting ping fails as disconnected") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  kj::Own<IcmpEcho> echo;
  kj::Maybe<kj::Promise<IcmpEcho::Result>> ping;
  {
    LwipStack stack(sim.timer, entropy, peer, StackFixture::ipv4Only());
    stack.setIpv4({STACK, 24, {}}, idl::NetConfig::Origin::STATIC);
    echo = kj::heap<IcmpEcho>(stack);
    ping = echo->ping(PEER, payload(), 1 * kj::SECONDS);
  }
  auto error = kj::runCatchingExceptions([&]() { sim.run(kj::mv(KJ_ASSERT_NONNULL(ping))); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
}

}  // namespace
}  // namespace nexus
