#include "daemons/dsoftbusd/session/record-channel.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/session/handshake.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

// The two ends of one connection, handshake done.
struct Fixture {
  SimClock sim;
  FixedEntropy entropy{3};
  DeviceIdentity client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  kj::Own<RecordChannel> ours, theirs;

  Fixture() {
    auto pipe = kj::newTwoWayPipe();
    auto responding = respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
    auto initiated = sim.run(
        initiateHandshake(kj::mv(pipe.ends[0]), client, ExpectedPeer::of(server.publicIdentity()), sim.timer, entropy));
    auto responded = sim.run(kj::mv(responding));
    ours = kj::mv(initiated.get<HandshakeDone>().channel);
    theirs = kj::mv(responded.get<HandshakeDone>().channel);
  }

  // Sent in the background: a pipe keeps nothing.
  void say(const SessionMessage& message) {
    said = said.then([p = theirs->send(message)]() mutable { return kj::mv(p); }).eagerlyEvaluate(nullptr);
  }
  kj::Promise<void> said = kj::READY_NOW;

  // The id of the ping that is received next.
  uint64_t nextPing() {
    auto received = sim.run(ours->receive());
    auto& message = received.get<RecordChannel::Message>();
    return KJ_ASSERT_NONNULL(tryParseSessionMessage(message.type, message.body)).get<PingMessage>().id;
  }
};

TEST_CASE("a record that was read ahead is the next one to be received, and those behind it follow") {
  Fixture f;
  f.say(PingMessage{1, nullptr});
  f.say(PingMessage{2, nullptr});
  CHECK(f.sim.run(f.ours->speaks()));
  CHECK(f.sim.run(f.ours->speaks()));
  CHECK(f.nextPing() == 1);
  CHECK(f.nextPing() == 2);
  f.say(PingMessage{3, nullptr});
  CHECK(f.sim.run(f.ours->speaks()));
  CHECK(f.nextPing() == 3);
}

TEST_CASE("whoever stops asking loses nothing of a record that is half there") {
  Fixture f;
  {
    auto asking = f.ours->speaks();
    CHECK_FALSE(asking.poll(f.sim.waitScope));
  }
  auto received = f.ours->receive();
  CHECK_FALSE(received.poll(f.sim.waitScope));
  f.say(PingMessage{1, nullptr});
  CHECK(f.sim.run(kj::mv(received)).is<RecordChannel::Message>());
  f.say(PingMessage{2, nullptr});
  CHECK(f.nextPing() == 2);
}

TEST_CASE("a peer that closes or is gone does not speak, and the receiver learns which") {
  Fixture f;
  SUBCASE("a close record") {
    f.say(CloseMessage{CloseReason::SUPERSEDED, 0});
    CHECK_FALSE(f.sim.run(f.ours->speaks()));
    CHECK(f.sim.run(f.ours->receive()).is<RecordChannel::Message>());
  }
  SUBCASE("the end of the stream") {
    f.theirs = nullptr;
    CHECK_FALSE(f.sim.run(f.ours->speaks()));
    CHECK(f.sim.run(f.ours->receive()).is<RecordChannel::EndOfStream>());
  }
}

TEST_CASE("a channel that goes while somebody asks answers no") {
  Fixture f;
  auto asking = f.ours->speaks();
  CHECK_FALSE(asking.poll(f.sim.waitScope));
  f.ours = nullptr;
  CHECK_FALSE(f.sim.run(kj::mv(asking)));
}

}  // namespace
}  // namespace nexus
