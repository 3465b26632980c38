#include "daemons/dsoftbusd/session/handshake.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>

#include "daemons/dsoftbusd/session/tap-stream.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Kind = HandshakeFailure::Kind;

struct Fixture {
  SimClock sim;
  FixedEntropy entropy{3};
  DeviceIdentity client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Vector<kj::Array<kj::byte>> sent;  // by the client

  kj::Promise<HandshakeResult> initiate(ExpectedPeer expected) {
    return initiateHandshake(kj::heap<TapStream>(kj::mv(pipe.ends[0]), sent), client, kj::mv(expected), sim.timer,
                             entropy);
  }
  kj::Promise<HandshakeResult> respond() {
    return respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
  }
  void raw(kj::ArrayPtr<const kj::byte> bytes) { sim.run(pipe.ends[0]->write(bytes.begin(), bytes.size())); }
  void rawLength(uint32_t n) {
    kj::byte header[4] = {kj::byte(n >> 24), kj::byte(n >> 16), kj::byte(n >> 8), kj::byte(n)};
    raw(header);
  }
};

Kind kindOf(const HandshakeResult& result) {
  REQUIRE(result.is<HandshakeFailure>());
  return result.get<HandshakeFailure>().kind;
}

TEST_CASE("both ends learn who the other proved to be, and records cross in both directions") {
  Fixture f;
  auto responding = f.respond();
  auto initiated = f.sim.run(f.initiate(ExpectedPeer::of(f.server.publicIdentity())));
  auto responded = f.sim.run(kj::mv(responding));
  auto& a = initiated.get<HandshakeDone>();
  auto& b = responded.get<HandshakeDone>();
  CHECK(a.peer.deviceId == f.server.deviceId());
  CHECK(b.peer.deviceId == f.client.deviceId());
  CHECK(b.peer.staticKey == f.client.noiseKeys().publicKey());
  CHECK(a.channel->handshakeHash() == b.channel->handshakeHash());

  auto payload = "PING"_kj.asBytes();
  auto sending = a.channel->send(PingMessage{1, payload});
  auto received = f.sim.run(b.channel->receive());
  auto& message = received.get<RecordChannel::Message>();
  CHECK(KJ_ASSERT_NONNULL(tryParseSessionMessage(message.type, message.body)).get<PingMessage>().payload == payload);
  f.sim.run(kj::mv(sending));
  auto answering = b.channel->send(PongMessage{1, payload});
  CHECK(f.sim.run(a.channel->receive()).is<RecordChannel::Message>());
  f.sim.run(kj::mv(answering));
}

TEST_CASE("the messages have the documented lengths") {
  Fixture f;
  auto responding = f.respond();
  auto initiated = f.sim.run(f.initiate(ExpectedPeer::of(f.server.publicIdentity())));
  f.sim.run(kj::mv(responding));
  REQUIRE(f.sent.size() == 2);
  CHECK(f.sent[0].size() == 4 + 48);
  CHECK(f.sent[1].size() == 4 + 64 + 96);
  CHECK(f.sent[0][3] == 48);
  CHECK(f.sent[1][3] == 160);
}

TEST_CASE("a wrong static key of the responder fails at the first message, and no identity was shown") {
  Fixture f;
  auto responding = f.respond();
  auto expected = ExpectedPeer::of(f.server.publicIdentity());
  expected.staticKey[0] ^= 1;
  auto initiating = f.initiate(kj::mv(expected));
  CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::NOT_AUTHENTIC);
  CHECK(kindOf(f.sim.run(kj::mv(initiating))) == Kind::CLOSED);
  CHECK(f.sent.size() == 1);
}

TEST_CASE("a responder that proves another device id than the expected one is left before message 3") {
  Fixture f;
  auto responding = f.respond();
  ExpectedPeer expected{f.server.publicIdentity().staticKey, kj::str(f.client.deviceId())};
  CHECK(kindOf(f.sim.run(f.initiate(kj::mv(expected)))) == Kind::BAD_IDENTITY);
  CHECK(f.sent.size() == 1);
  CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::CLOSED);
}

TEST_CASE("an initiator without the device key of its static key is refused") {
  // A handshake with the client's static key, but the proof of somebody else.
  Fixture f;
  auto other = DeviceIdentity::forTest("other");
  auto responding = f.respond();
  auto noise = NoiseXk::initiator(f.client.noiseKeys().clone(), f.server.noiseKeys().publicKey(),
                                  BUS_PROLOGUE.asBytes(), f.entropy);
  auto send = [&](kj::ArrayPtr<const kj::byte> payload) {
    auto message = noise.writeMessage(payload);
    f.rawLength(message.get<kj::Array<kj::byte>>().size());
    f.raw(message.get<kj::Array<kj::byte>>());
  };
  send(nullptr);
  auto answer = kj::heapArray<kj::byte>(4 + 144);
  f.sim.run(f.pipe.ends[0]->read(answer.begin(), answer.size()));
  CHECK(noise.readMessage(answer.slice(4, answer.size())).is<kj::Array<kj::byte>>());
  send(other.prove(ProofRole::CLIENT));
  CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::BAD_IDENTITY);
}

TEST_CASE("a server's proof is of no use to a client") {
  Fixture f;
  auto responding = f.respond();
  auto noise = NoiseXk::initiator(f.client.noiseKeys().clone(), f.server.noiseKeys().publicKey(),
                                  BUS_PROLOGUE.asBytes(), f.entropy);
  auto first = noise.writeMessage(nullptr);
  f.rawLength(48);
  f.raw(first.get<kj::Array<kj::byte>>());
  auto answer = kj::heapArray<kj::byte>(4 + 144);
  f.sim.run(f.pipe.ends[0]->read(answer.begin(), answer.size()));
  noise.readMessage(answer.slice(4, answer.size()));
  auto third = noise.writeMessage(f.client.prove(ProofRole::SERVER));
  f.rawLength(160);
  f.raw(third.get<kj::Array<kj::byte>>());
  CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::BAD_IDENTITY);
}

TEST_CASE("another prologue fails at the first message") {
  Fixture f;
  auto responding = f.respond();
  auto noise = NoiseXk::initiator(f.client.noiseKeys().clone(), f.server.noiseKeys().publicKey(),
                                  "nexus-net dsoftbus v2"_kj.asBytes(), f.entropy);
  auto first = noise.writeMessage(nullptr);
  f.rawLength(48);
  f.raw(first.get<kj::Array<kj::byte>>());
  CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::NOT_AUTHENTIC);
}

TEST_CASE("a first message of any other length is refused before its bytes are waited for, the historic 32 too") {
  for (uint32_t length : {0u, 1u, 32u, 47u, 49u, 96u, 144u, 65535u, 65536u, 0xffffffffu}) {
    CAPTURE(length);
    Fixture f;
    auto responding = f.respond();
    f.rawLength(length);
    CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::BAD_LENGTH);
    CHECK(f.sim.timer.now() == kj::origin<kj::TimePoint>());
  }
}

TEST_CASE("each byte of the first message matters") {
  for (size_t i = 0; i < 48; i += 7) {
    Fixture f;
    auto responding = f.respond();
    auto noise = NoiseXk::initiator(f.client.noiseKeys().clone(), f.server.noiseKeys().publicKey(),
                                    BUS_PROLOGUE.asBytes(), f.entropy);
    auto first = noise.writeMessage(nullptr);
    auto bytes = kj::mv(first.get<kj::Array<kj::byte>>());
    bytes[i] ^= 0x40;
    f.rawLength(48);
    f.raw(bytes);
    CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::NOT_AUTHENTIC);
  }
}

TEST_CASE("a peer that is silent, slow or gone costs five seconds at most") {
  {
    Fixture f;
    CHECK(kindOf(f.sim.run(f.respond())) == Kind::TIMED_OUT);
    CHECK(f.sim.timer.now() - kj::origin<kj::TimePoint>() == HANDSHAKE_DEADLINE);
  }
  {
    // One byte a second never makes a message in time.
    Fixture f;
    auto responding = f.respond();
    f.rawLength(48);
    kj::byte byte[1] = {0};
    for (int i = 0; i < 4; i++) {
      f.raw(byte);
      f.sim.advance(1 * kj::SECONDS);
      CHECK_FALSE(responding.poll(f.sim.waitScope));
    }
    f.raw(byte);
    CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::TIMED_OUT);
    CHECK(f.sim.timer.now() - kj::origin<kj::TimePoint>() == HANDSHAKE_DEADLINE);
  }
  {
    Fixture f;
    auto responding = f.respond();
    f.rawLength(48);
    kj::byte some[47] = {};
    f.raw(some);
    CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::TIMED_OUT);
  }
  {
    Fixture f;
    auto responding = f.respond();
    f.pipe.ends[0] = nullptr;
    CHECK(kindOf(f.sim.run(kj::mv(responding))) == Kind::CLOSED);
  }
  {
    Fixture f;  // the initiator waits for an answer
    CHECK(kindOf(f.sim.run(f.initiate(ExpectedPeer::of(f.server.publicIdentity())))) == Kind::TIMED_OUT);
  }
}

// The same byte for ever, so that the example of the documentation can be computed again.
class ConstantEntropy final : public Entropy {
 public:
  explicit ConstantEntropy(kj::byte value) : value(value) {}
  void fill(kj::ArrayPtr<kj::byte> out) override { memset(out.begin(), value, out.size()); }

 private:
  kj::byte value;
};

TEST_CASE("the example in docs/distributed/dsoftbus-os.md is what is sent") {
  Fixture f;
  ConstantEntropy clientEphemeral(0x11), serverEphemeral(0x22);
  auto a = DeviceIdentity::forTest("node-a"), b = DeviceIdentity::forTest("node-b");
  kj::Vector<kj::Array<kj::byte>> answers;
  auto responding =
      respondToHandshake(kj::heap<TapStream>(kj::mv(f.pipe.ends[1]), answers), b, f.sim.timer, serverEphemeral);
  auto initiated = f.sim.run(initiateHandshake(kj::heap<TapStream>(kj::mv(f.pipe.ends[0]), f.sent), a,
                                               ExpectedPeer::of(b.publicIdentity()), f.sim.timer, clientEphemeral));
  auto responded = f.sim.run(kj::mv(responding));
  auto& channel = *initiated.get<HandshakeDone>().channel;
  auto received = responded.get<HandshakeDone>().channel->receive();
  f.sim.run(channel.send(PingMessage{1, "PING"_kj.asBytes()}));
  f.sim.run(kj::mv(received));
  CHECK(kj::encodeHex(f.sent[0]) ==
        "000000307b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13ad26ab8fe7892faaab287e67"
        "9ed4972d"_kj);
  CHECK(kj::encodeHex(answers[0]) ==
        "000000900faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20d331902544b5d80b6cc2c582"
        "5fb8b8f2e9d9de472d493d7776c23c23c24030ca4668eae267978d8641959927f8b09061e4388f107739dce8774f995a"
        "0362f1c5a10629820c008f23d91ed17177ab7363db910157e62878683dd9510ceaa20cb778a16914ba8fa88220021850"
        "76cdec0e"_kj);
  CHECK(kj::encodeHex(f.sent[1]) ==
        "000000a08b1dbc3c22b44a27bdd3c37dda0830b69c25682a333cf7bc6579851ec84e18230600de2d0a10836db47cdc39"
        "b9202df345e74f97a4d93712f542d5b5b420cbfb170f28e9fd07d055d53b29492b8c3f3c3a685cf6db920b4eaf577720"
        "1d032ad646465f0d8948bcf44f0539c5d4263304c614b60a7cf984682eda2b34d347fc821732bde63b1e7a07119de64f"
        "ed628db421d6e08451f8465fff93acca383e74e1"_kj);
  CHECK(kj::encodeHex(f.sent[2]) == "0000001dfd6f830b35b69ddebd3e37520ec49e379af1c037f58ef3d7414413b256"_kj);
  CHECK(toHex(channel.handshakeHash()) == "df64bfb7a6f4e0e5a941c411d12a42050d58c1b7b0b050ed451ca2ba0f05a113"_kj);
}

}  // namespace
}  // namespace nexus
