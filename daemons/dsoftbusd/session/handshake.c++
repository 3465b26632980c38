#include "daemons/dsoftbusd/session/handshake.h"

#include <kj/debug.h>

namespace nexus {

namespace {

using Kind = HandshakeFailure::Kind;
using Bytes = kj::Array<kj::byte>;

constexpr size_t LENGTH_BYTES = 4;
constexpr size_t MESSAGE_BYTES[3] = {48, 48 + PROOF_BYTES, 64 + PROOF_BYTES};

// One attempt: the stream and the state machine. Steps answer null, or why it failed.
class Attempt {
 public:
  Attempt(kj::Own<kj::AsyncIoStream> stream, const DeviceIdentity& own, NoiseXk noise, kj::Timer& timer,
          const RecordLimits& limits)
      : stream(kj::mv(stream)), own(own), noise(kj::mv(noise)), timer(timer), limits(limits) {}

  kj::Promise<HandshakeResult> initiate(ExpectedPeer expected) {
    KJ_IF_MAYBE (failure, co_await write(nullptr)) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, co_await read(MESSAGE_BYTES[1])) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, takeProof(ProofRole::SERVER)) co_return kj::mv(*failure);
    // Before our own identity is shown.
    KJ_IF_MAYBE (failure, checkExpected(expected)) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, co_await write(own.prove(ProofRole::CLIENT))) co_return kj::mv(*failure);
    co_return finish();
  }

  kj::Promise<HandshakeResult> respond() {
    KJ_IF_MAYBE (failure, co_await read(MESSAGE_BYTES[0])) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, co_await write(own.prove(ProofRole::SERVER))) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, co_await read(MESSAGE_BYTES[2])) co_return kj::mv(*failure);
    KJ_IF_MAYBE (failure, takeProof(ProofRole::CLIENT)) co_return kj::mv(*failure);
    co_return finish();
  }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  const DeviceIdentity& own;
  NoiseXk noise;
  kj::Timer& timer;
  RecordLimits limits;
  Bytes payload;  // of the message that was read last
  PublicIdentity peer;

  kj::Promise<kj::Maybe<HandshakeFailure>> write(Bytes ownPayload) {
    auto written = noise.writeMessage(ownPayload);
    if (written.is<NoiseError>()) co_return HandshakeFailure{Kind::NOT_AUTHENTIC, kj::str(written.get<NoiseError>())};
    auto& message = written.get<Bytes>();
    auto framed = kj::heapArray<kj::byte>(LENGTH_BYTES + message.size());
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
      framed[i] = static_cast<kj::byte>(message.size() >> (LENGTH_BYTES - 1 - i) * 8);
    }
    memcpy(framed.begin() + LENGTH_BYTES, message.begin(), message.size());
    co_await stream->write(framed.begin(), framed.size());
    co_return nullptr;
  }

  // The length is that of the protocol or the attempt is over, before a byte of the message is waited for.
  kj::Promise<kj::Maybe<HandshakeFailure>> read(size_t expectedBytes) {
    kj::byte header[LENGTH_BYTES];
    if (co_await stream->tryRead(header, LENGTH_BYTES, LENGTH_BYTES) < LENGTH_BYTES) co_return closed();
    size_t length = size_t(header[0]) << 24 | size_t(header[1]) << 16 | size_t(header[2]) << 8 | header[3];
    if (length != expectedBytes) {
      co_return HandshakeFailure{Kind::BAD_LENGTH,
                                 kj::str("a handshake message of ", length, " bytes instead of ", expectedBytes)};
    }
    auto message = kj::heapArray<kj::byte>(length);
    if (co_await stream->tryRead(message.begin(), length, length) < length) co_return closed();
    auto opened = noise.readMessage(message);
    if (opened.is<NoiseError>()) {
      co_return HandshakeFailure{Kind::NOT_AUTHENTIC, kj::str("handshake message refused: ", opened.get<NoiseError>())};
    }
    payload = kj::mv(opened.get<Bytes>());
    co_return nullptr;
  }

  kj::Maybe<HandshakeFailure> takeProof(ProofRole role) {
    auto proven = verifyProof(payload, role, KJ_ASSERT_NONNULL(noise.remoteStatic()));
    if (proven.is<IdentityError>()) {
      return HandshakeFailure{Kind::BAD_IDENTITY, kj::str("identity proof refused: ", proven.get<IdentityError>())};
    }
    peer = kj::mv(proven.get<PublicIdentity>());
    return nullptr;
  }

  kj::Maybe<HandshakeFailure> checkExpected(const ExpectedPeer& expected) {
    KJ_IF_MAYBE (deviceId, expected.deviceId) {
      KJ_IF_MAYBE (error, checkBinding(peer, PublicIdentity{kj::str(*deviceId), expected.staticKey})) {
        return HandshakeFailure{Kind::BAD_IDENTITY, kj::str("the peer proved another identity: ", *error)};
      }
    }
    return nullptr;
  }

  HandshakeResult finish() {
    auto& keys = KJ_ASSERT_NONNULL(transportKeys = noise.finish());
    return HandshakeDone{kj::heap<RecordChannel>(kj::mv(stream), kj::mv(keys), timer, limits), kj::mv(peer)};
  }

  static HandshakeFailure closed() {
    return {Kind::CLOSED, kj::str("the peer closed the connection during the handshake")};
  }

  kj::Maybe<NoiseTransport> transportKeys;
};

// Adds the deadline and makes a failing stream a result.
kj::Promise<HandshakeResult> bounded(kj::Promise<HandshakeResult> attempt, kj::Timer& timer) {
  return attempt
      .catch_([](kj::Exception&& exception) -> HandshakeResult {
        return HandshakeFailure{Kind::CLOSED, kj::str("the connection failed: ", exception.getDescription())};
      })
      .exclusiveJoin(
          timer.afterDelay(HANDSHAKE_DEADLINE).then([]() -> HandshakeResult { return HandshakeFailure::late(); }));
}

}  // namespace

HandshakeFailure HandshakeFailure::late() {
  return {Kind::TIMED_OUT, kj::str("no handshake within ", HANDSHAKE_DEADLINE / kj::SECONDS, " s")};
}

kj::Promise<HandshakeResult> initiateHandshake(kj::Own<kj::AsyncIoStream> stream, const DeviceIdentity& own,
                                               ExpectedPeer expected, kj::Timer& timer, Entropy& entropy,
                                               RecordLimits limits) {
  auto noise = NoiseXk::initiator(own.noiseKeys().clone(), expected.staticKey, BUS_PROLOGUE.asBytes(), entropy);
  auto attempt = kj::heap<Attempt>(kj::mv(stream), own, kj::mv(noise), timer, limits);
  auto promise = attempt->initiate(kj::mv(expected));
  return bounded(promise.attach(kj::mv(attempt)), timer);
}

kj::Promise<HandshakeResult> respondToHandshake(kj::Own<kj::AsyncIoStream> stream, const DeviceIdentity& own,
                                                kj::Timer& timer, Entropy& entropy, RecordLimits limits) {
  auto noise = NoiseXk::responder(own.noiseKeys().clone(), BUS_PROLOGUE.asBytes(), entropy);
  auto attempt = kj::heap<Attempt>(kj::mv(stream), own, kj::mv(noise), timer, limits);
  auto promise = attempt->respond();
  return bounded(promise.attach(kj::mv(attempt)), timer);
}

}  // namespace nexus
