#include "daemons/dsoftbusd/noise/noise-xk.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>
#include <sodium.h>

#include "daemons/dsoftbusd/crypto/secret-pool.h"
#include "daemons/dsoftbusd/noise/noise-symmetric.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

SecretBytes countingKey(kj::byte first) {
  SecretBytes key(KEY_BYTES);
  for (size_t i = 0; i < KEY_BYTES; i++) key.expose()[i] = first + i;
  return key;
}

// Ephemeral keys that count up, as the golden messages were made with.
class CountingEntropy final : public Entropy {
 public:
  explicit CountingEntropy(kj::byte first) : first(first) {}
  void fill(kj::ArrayPtr<kj::byte> out) override {
    for (size_t i = 0; i < out.size(); i++) out[i] = first + i;
  }

 private:
  kj::byte first;
};

constexpr kj::byte INITIATOR_STATIC = 0x01, RESPONDER_STATIC = 0x21, INITIATOR_EPHEMERAL = 0x41,
                   RESPONDER_EPHEMERAL = 0x61;
constexpr auto PROLOGUE = "nexus-net golden 1"_kj;

struct Pair {
  CountingEntropy initiatorEntropy{INITIATOR_EPHEMERAL}, responderEntropy{RESPONDER_EPHEMERAL};
  NoiseXk initiator, responder;

  explicit Pair(kj::StringPtr responderPrologue = PROLOGUE, kj::byte pinned = RESPONDER_STATIC)
      : initiator(NoiseXk::initiator(NoiseKeyPair(countingKey(INITIATOR_STATIC)),
                                     NoiseKeyPair(countingKey(pinned)).publicKey(), PROLOGUE.asBytes(),
                                     initiatorEntropy)),
        responder(NoiseXk::responder(NoiseKeyPair(countingKey(RESPONDER_STATIC)), responderPrologue.asBytes(),
                                     responderEntropy)) {}

  NoiseXk& writer(int step) { return step == 1 ? responder : initiator; }
  NoiseXk& reader(int step) { return step == 1 ? initiator : responder; }

  static constexpr kj::StringPtr PAYLOADS[] = {""_kj, "from the responder"_kj, "from the initiator"_kj};

  Bytes write(int step) {
    auto written = writer(step).writeMessage(PAYLOADS[step].asBytes());
    KJ_REQUIRE(written.is<Bytes>(), "not written", step, written.get<NoiseError>());
    return kj::mv(written.get<Bytes>());
  }

  void readGood(int step, kj::ArrayPtr<const kj::byte> message) {
    auto read = reader(step).readMessage(message);
    KJ_REQUIRE(read.is<Bytes>(), "not read", step, read.get<NoiseError>());
    CHECK(read.get<Bytes>() == PAYLOADS[step].asBytes());
  }

  // Runs the messages before `step`.
  void advanceTo(int step) {
    for (int i = 0; i < step; i++) readGood(i, write(i));
  }
};

NoiseError errorOf(NoiseXk::Read result) {
  REQUIRE(result.is<NoiseError>());
  return result.get<NoiseError>();
}

void checkDead(NoiseXk& noise) {
  CHECK(noise.isDead());
  CHECK_FALSE(noise.isFinished());
  CHECK_FALSE(noise.isOurTurn());
  CHECK(errorOf(noise.writeMessage()) == NoiseError::DEAD);
  CHECK(errorOf(noise.readMessage(nullptr)) == NoiseError::DEAD);
  CHECK(noise.finish() == nullptr);
  CHECK(noise.remoteStatic() == nullptr);
}

TEST_CASE("the messages are the golden bytes") {
  constexpr kj::StringPtr GOLDEN[] = {
      "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484662be9405696432de444243725889986a3"_kj,
      "244fe3b963e899dd295baffce248d3530f3a9a7479ba063002680ebfe7adad494948b17a847fa82a20cbcab5e7fa25de6a50acda74c54ce79017a38e84ba7e56b475"_kj,
      "7c8e2e0572522e098d8b68ebf39373f8543c3fc7d99ec96c5745b438842afb9af1f67bc3586a318dc34e2aefe2023507c993f18739158c0f1702f60d51e37fd6757757baf81f6174ec1e63bb5fc014c122fe"_kj};
  Pair pair;
  for (int step = 0; step < 3; step++) {
    auto message = pair.write(step);
    CHECK(kj::encodeHex(message) == GOLDEN[step]);
    pair.readGood(step, message);
  }
  auto a = KJ_ASSERT_NONNULL(pair.initiator.finish()), b = KJ_ASSERT_NONNULL(pair.responder.finish());
  CHECK(toHex(a.handshakeHash) == "d4a21b71b59331049ec8f1cb0bd2fc774fb60356fd5601f25b36490f6413d9f5");
  CHECK(b.handshakeHash == a.handshakeHash);
  CHECK(a.remoteStatic == NoiseKeyPair(countingKey(RESPONDER_STATIC)).publicKey());
  CHECK(b.remoteStatic == NoiseKeyPair(countingKey(INITIATOR_STATIC)).publicKey());

  auto one = KJ_ASSERT_NONNULL(a.send.tryEncrypt(nullptr, "one"_kj.asBytes()));
  auto two = KJ_ASSERT_NONNULL(b.send.tryEncrypt(nullptr, "two"_kj.asBytes()));
  CHECK(kj::encodeHex(one) == "5519f12a490b54ec0572412392c24f0c92b1ce");
  CHECK(kj::encodeHex(two) == "b8945a6b6cd778518be95d246bf12be5c36cdf");
  CHECK(KJ_ASSERT_NONNULL(b.receive.tryDecrypt(nullptr, one)) == "one"_kj.asBytes());
  CHECK(KJ_ASSERT_NONNULL(a.receive.tryDecrypt(nullptr, two)) == "two"_kj.asBytes());
  a.send.rekey();
  CHECK(kj::encodeHex(KJ_ASSERT_NONNULL(a.send.tryEncrypt(nullptr, "three"_kj.asBytes()))) ==
        "929f124afa6df77bd25984010108f77c8ba52d88f0");
}

TEST_CASE("with empty payloads the messages are 48, 48 and 64 bytes") {
  FixedEntropy entropy(1);
  NoiseKeyPair own(countingKey(1)), peer(countingKey(2));
  auto initiator = NoiseXk::initiator(own.clone(), peer.publicKey(), nullptr, entropy);
  auto responder = NoiseXk::responder(peer.clone(), nullptr, entropy);
  for (int step = 0; step < 3; step++) {
    auto& writer = step == 1 ? responder : initiator;
    CHECK(writer.isOurTurn());
    auto message = writer.writeMessage().get<Bytes>();
    CHECK(message.size() == NoiseXk::MESSAGE_BYTES[step]);
    CHECK((step == 1 ? initiator : responder).readMessage(message).is<Bytes>());
  }
  CHECK(initiator.isFinished());
  CHECK(responder.isFinished());
}

TEST_CASE("two sessions between the same keys have different hashes and keys") {
  FixedEntropy entropy(2);
  NoiseKeyPair own(countingKey(1)), peer(countingKey(2));
  kj::Vector<NoiseTransport> ends;
  for (int i = 0; i < 2; i++) {
    auto initiator = NoiseXk::initiator(own.clone(), peer.publicKey(), nullptr, entropy);
    auto responder = NoiseXk::responder(peer.clone(), nullptr, entropy);
    responder.readMessage(initiator.writeMessage().get<Bytes>());
    initiator.readMessage(responder.writeMessage().get<Bytes>());
    responder.readMessage(initiator.writeMessage().get<Bytes>());
    ends.add(KJ_ASSERT_NONNULL(initiator.finish()));
  }
  CHECK(ends[0].handshakeHash != ends[1].handshakeHash);
  auto text = "same"_kj.asBytes();
  CHECK(KJ_ASSERT_NONNULL(ends[0].send.tryEncrypt(nullptr, text)) !=
        KJ_ASSERT_NONNULL(ends[1].send.tryEncrypt(nullptr, text)));
}

TEST_CASE("a message cut short anywhere is refused and kills the reader") {
  for (int step = 0; step < 3; step++) {
    size_t size = NoiseXk::MESSAGE_BYTES[step] + Pair::PAYLOADS[step].size();
    for (size_t cut = 0; cut < size; cut++) {
      CAPTURE(step);
      CAPTURE(cut);
      Pair pair;
      pair.advanceTo(step);
      auto message = pair.write(step);
      REQUIRE(message.size() == size);
      auto expected = cut < NoiseXk::MESSAGE_BYTES[step] ? NoiseError::BAD_LENGTH : NoiseError::CRYPTO;
      CHECK(errorOf(pair.reader(step).readMessage(message.slice(0, cut))) == expected);
      checkDead(pair.reader(step));
    }
  }
}

TEST_CASE("a message with a byte too many is refused") {
  for (int step = 0; step < 3; step++) {
    Pair pair;
    pair.advanceTo(step);
    auto message = kj::heapArray<kj::byte>(pair.write(step).size() + 1);
    CHECK(errorOf(pair.reader(step).readMessage(message)) == NoiseError::CRYPTO);
    checkDead(pair.reader(step));
  }
}

TEST_CASE("a message above 65535 bytes is refused, one of exactly that is not") {
  Pair pair;
  auto payload = kj::heapArray<kj::byte>(NOISE_MAX_MESSAGE - NoiseXk::MESSAGE_BYTES[0]);
  memset(payload.begin(), 5, payload.size());
  auto largest = pair.initiator.writeMessage(payload).get<Bytes>();
  CHECK(largest.size() == NOISE_MAX_MESSAGE);
  CHECK(pair.responder.readMessage(largest).get<Bytes>() == payload);

  Pair other;
  CHECK(errorOf(other.initiator.writeMessage(kj::heapArray<kj::byte>(payload.size() + 1))) == NoiseError::BAD_LENGTH);
  checkDead(other.initiator);
  CHECK(errorOf(other.responder.readMessage(kj::heapArray<kj::byte>(NOISE_MAX_MESSAGE + 1))) == NoiseError::BAD_LENGTH);
  checkDead(other.responder);
}

TEST_CASE("every flipped bit of every message is noticed by the message that carries it") {
  for (int step = 0; step < 3; step++) {
    Pair sample;
    sample.advanceTo(step);
    size_t bits = sample.write(step).size() * 8;
    for (size_t bit = 0; bit < bits; bit++) {
      // X25519 ignores the top bit of a public key, but the hash does not: it is noticed like every other.
      CAPTURE(step);
      CAPTURE(bit);
      Pair pair;
      pair.advanceTo(step);
      auto message = pair.write(step);
      message[bit / 8] ^= 1 << bit % 8;
      CHECK(errorOf(pair.reader(step).readMessage(message)) == NoiseError::CRYPTO);
      checkDead(pair.reader(step));
    }
  }
}

TEST_CASE("an initiator with the wrong key of the responder is refused at the first message") {
  Pair pair(PROLOGUE, RESPONDER_STATIC + 1);
  CHECK(errorOf(pair.responder.readMessage(pair.write(0))) == NoiseError::CRYPTO);
  checkDead(pair.responder);
}

TEST_CASE("another prologue is refused at the first message") {
  Pair pair("nexus-net golden 2");
  CHECK(errorOf(pair.responder.readMessage(pair.write(0))) == NoiseError::CRYPTO);
}

SecretBytes sharedSecret(const NoiseKeyPair& own, const KeyBytes& theirs) {
  SecretBytes shared(KEY_BYTES);
  KJ_ASSERT(crypto_scalarmult(shared.expose().begin(), own.secret().expose().begin(), theirs.data()) == 0);
  return shared;
}

// An initiator made by hand that sends `claimed` as its static key and holds another. True when the responder believes
// it.
bool isBelieved(const KeyBytes& claimed, const NoiseKeyPair& held) {
  FixedEntropy entropy(4);
  NoiseKeyPair responderStatic(countingKey(RESPONDER_STATIC)), ephemeral(countingKey(INITIATOR_EPHEMERAL));
  auto responder = NoiseXk::responder(responderStatic.clone(), nullptr, entropy);
  NoiseSymmetric symmetric("Noise_XK_25519_ChaChaPoly_BLAKE2s");
  symmetric.mixHash(nullptr);
  symmetric.mixHash(asBytes(responderStatic.publicKey()));

  kj::Vector<kj::byte> first, third;
  symmetric.mixHash(asBytes(ephemeral.publicKey()));
  first.addAll(asBytes(ephemeral.publicKey()));
  symmetric.mixKey(sharedSecret(ephemeral, responderStatic.publicKey()));
  first.addAll(symmetric.encryptAndHash(nullptr));
  REQUIRE(responder.readMessage(first).is<Bytes>());

  auto second = responder.writeMessage().get<Bytes>();
  auto theirs = keyBytes(second.slice(0, KEY_BYTES));
  symmetric.mixHash(asBytes(theirs));
  symmetric.mixKey(sharedSecret(ephemeral, theirs));
  REQUIRE(symmetric.tryDecryptAndHash(second.slice(KEY_BYTES, second.size())) != nullptr);

  third.addAll(symmetric.encryptAndHash(asBytes(claimed)));
  symmetric.mixKey(sharedSecret(held, theirs));
  third.addAll(symmetric.encryptAndHash(nullptr));
  return responder.readMessage(third).is<Bytes>();
}

TEST_CASE("an initiator that claims a static key it does not hold is refused at the third message") {
  NoiseKeyPair victim(countingKey(0x90)), liar(countingKey(0xa0));
  CHECK(isBelieved(victim.publicKey(), victim));
  CHECK_FALSE(isBelieved(victim.publicKey(), liar));
}

TEST_CASE("the responder learns who the initiator is, and only from a whole third message") {
  Pair pair;
  pair.advanceTo(2);
  CHECK(pair.responder.remoteStatic() == nullptr);
  pair.readGood(2, pair.write(2));
  CHECK(KJ_ASSERT_NONNULL(pair.responder.remoteStatic()) == NoiseKeyPair(countingKey(INITIATOR_STATIC)).publicKey());
}

TEST_CASE("messages out of order kill whoever is asked for them") {
  SUBCASE("the responder does not write first") {
    Pair pair;
    CHECK(errorOf(pair.responder.writeMessage()) == NoiseError::OUT_OF_ORDER);
    checkDead(pair.responder);
  }
  SUBCASE("the initiator does not read first") {
    Pair pair;
    CHECK(errorOf(pair.initiator.readMessage(kj::heapArray<kj::byte>(48))) == NoiseError::OUT_OF_ORDER);
    checkDead(pair.initiator);
  }
  SUBCASE("nobody writes twice in a row") {
    Pair pair;
    pair.write(0);
    CHECK(errorOf(pair.initiator.writeMessage()) == NoiseError::OUT_OF_ORDER);
  }
  SUBCASE("the third message in place of the first is not authentic") {
    Pair donor, pair;
    donor.advanceTo(2);
    CHECK(errorOf(pair.responder.readMessage(donor.write(2))) == NoiseError::CRYPTO);
  }
  SUBCASE("a first message repeated as the third is not authentic") {
    Pair pair;
    auto first = pair.write(0);
    pair.readGood(0, first);
    pair.readGood(1, pair.write(1));
    auto padded = kj::heapArray<kj::byte>(64);
    memcpy(padded.begin(), first.begin(), first.size());
    CHECK(errorOf(pair.responder.readMessage(padded)) == NoiseError::CRYPTO);
  }
  SUBCASE("after the end there is nothing to write or read") {
    Pair pair;
    pair.advanceTo(3);
    CHECK(errorOf(pair.initiator.writeMessage()) == NoiseError::OUT_OF_ORDER);
    CHECK(errorOf(pair.responder.readMessage(kj::heapArray<kj::byte>(64))) == NoiseError::OUT_OF_ORDER);
    CHECK(pair.responder.finish() == nullptr);
  }
}

TEST_CASE("transport keys are given once, and not before the end") {
  Pair pair;
  pair.advanceTo(2);
  CHECK(pair.initiator.finish() == nullptr);
  pair.readGood(2, pair.write(2));
  CHECK(pair.initiator.finish() != nullptr);
  CHECK(pair.initiator.finish() == nullptr);
}

// Every point of small order, in every encoding that fits 255 bits and is below 2^255.
constexpr kj::StringPtr LOW_ORDER_POINTS[] = {
    "0000000000000000000000000000000000000000000000000000000000000000"_kj,  // 0
    "0100000000000000000000000000000000000000000000000000000000000000"_kj,  // 1
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"_kj,  // order 8
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"_kj,  // order 8
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"_kj,  // p - 1
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"_kj,  // p
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"_kj,  // p + 1
};

TEST_CASE("a low-order ephemeral key is refused by the responder") {
  for (auto point : LOW_ORDER_POINTS) {
    CAPTURE(point.cStr());
    Pair pair;
    auto message = pair.write(0);
    memcpy(message.begin(), KJ_ASSERT_NONNULL(tryParseKeyBytes(point)).data(), KEY_BYTES);
    CHECK(errorOf(pair.responder.readMessage(message)) == NoiseError::WEAK_KEY);
    checkDead(pair.responder);
  }
}

TEST_CASE("a low-order ephemeral key is refused by the initiator") {
  for (auto point : LOW_ORDER_POINTS) {
    CAPTURE(point.cStr());
    Pair pair;
    pair.advanceTo(1);
    auto message = pair.write(1);
    memcpy(message.begin(), KJ_ASSERT_NONNULL(tryParseKeyBytes(point)).data(), KEY_BYTES);
    CHECK(errorOf(pair.initiator.readMessage(message)) == NoiseError::WEAK_KEY);
    checkDead(pair.initiator);
  }
}

TEST_CASE("a low-order static key of the responder is refused before anything is sent") {
  for (auto point : LOW_ORDER_POINTS) {
    CAPTURE(point.cStr());
    FixedEntropy entropy(3);
    auto initiator =
        NoiseXk::initiator(NoiseKeyPair(countingKey(1)), KJ_ASSERT_NONNULL(tryParseKeyBytes(point)), nullptr, entropy);
    CHECK(errorOf(initiator.writeMessage()) == NoiseError::WEAK_KEY);
    checkDead(initiator);
  }
}

TEST_CASE("X25519 gives the keys and the shared secret of RFC 7748 section 6.1") {
  auto pairOf = [](kj::StringPtr secret) { return NoiseKeyPair(SecretBytes::copyOf(kj::decodeHex(secret))); };
  auto alice = pairOf("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  auto bob = pairOf("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  CHECK(toHex(alice.publicKey()) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  CHECK(toHex(bob.publicKey()) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  CHECK(kj::encodeHex(sharedSecret(alice, bob.publicKey()).expose()) ==
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST_CASE("a key of another length is refused") {
  CHECK_THROWS(NoiseKeyPair(SecretBytes(31)));
}

TEST_CASE("a finished handshake holds no secret any more: they lie in the transport keys, and go with those") {
  auto before = secretMemoryState().slotsUsed;
  Pair pair;
  pair.advanceTo(3);
  for (auto* side : {&pair.initiator, &pair.responder}) {
    CHECK(secretMemoryState().slotsUsed > before);
    auto transport = side->finish();
    CHECK(transport != nullptr);
  }
  CHECK(secretMemoryState().slotsUsed == before);
}

}  // namespace
}  // namespace nexus
