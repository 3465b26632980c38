#include "daemons/dsoftbusd/pairing/pairing-exchange.h"

#include <kj/debug.h>

#include <cstdio>
#include <cstring>

#include "daemons/dsoftbusd/crypto/blake2s.h"

namespace nexus {

namespace {

using Bytes = kj::Array<kj::byte>;

constexpr auto COMMIT_LABEL = "nexus-net pairing commitment v1"_kj;
constexpr auto CODE_LABEL = "nexus-net pairing code v1"_kj;
constexpr uint64_t CODES = 10'000'000;
constexpr size_t LENGTH_BYTES = 4;
constexpr kj::byte SAME = 1, DIFFERENT = 2;

// In the order in which they are sent; the last one by both.
enum class Step : uint8_t { HELLO, MESSAGE_1, MESSAGE_2, MESSAGE_3, COMMIT, NONCE, OPEN, DECISION };
constexpr size_t BODY_BYTES[] = {KEY_BYTES,
                                 48,
                                 48 + PROOF_BYTES,
                                 64 + PROOF_BYTES,
                                 KEY_BYTES + NOISE_TAG_BYTES,
                                 KEY_BYTES + NOISE_TAG_BYTES,
                                 KEY_BYTES + NOISE_TAG_BYTES,
                                 1 + NOISE_TAG_BYTES};
static_assert(BODY_BYTES[size_t(Step::MESSAGE_3)] == PAIRING_MAX_FRAME);

bool sentByResponder(Step step) {
  return step == Step::HELLO || step == Step::MESSAGE_2 || step == Step::COMMIT || step == Step::OPEN;
}

Bytes framed(kj::ArrayPtr<const kj::byte> body) {
  auto frame = kj::heapArray<kj::byte>(LENGTH_BYTES + body.size());
  for (size_t i = 0; i < LENGTH_BYTES; i++) {
    frame[i] = static_cast<kj::byte>(body.size() >> (LENGTH_BYTES - 1 - i) * 8);
  }
  memcpy(frame.begin() + LENGTH_BYTES, body.begin(), body.size());
  return frame;
}

KeyBytes commitmentOf(const KeyBytes& hash, kj::ArrayPtr<const kj::byte> nonce) {
  return blake2s({COMMIT_LABEL.asBytes(), asBytes(hash), nonce});
}

kj::String codeOf(const KeyBytes& hash, kj::ArrayPtr<const kj::byte> initiators,
                  kj::ArrayPtr<const kj::byte> responders) {
  auto digest = blake2s({CODE_LABEL.asBytes(), asBytes(hash), initiators, responders});
  uint64_t number = 0;
  for (size_t i = 0; i < 8; i++) number = number << 8 | digest[i];
  char digits[PAIRING_CODE_DIGITS + 2];
  snprintf(digits, sizeof(digits), "%03u-%04u", unsigned(number % CODES / 10'000), unsigned(number % 10'000));
  return kj::str(digits);
}

}  // namespace

struct PairingExchange::State {
  Role role;
  const DeviceIdentity& own;
  Entropy& entropy;
  Step step = Step::HELLO;
  bool dead = false;
  kj::Maybe<NoiseXk> noise;
  kj::Maybe<NoiseTransport> keys;
  PublicIdentity peer;
  SecretBytes ownNonce{KEY_BYTES};
  bool nonceOut = false;
  KeyBytes commitment{};
  kj::String code;
  bool decided = false;
  kj::Maybe<bool> peerDecision;

  State(Role role, const DeviceIdentity& own, Entropy& entropy) : role(role), own(own), entropy(entropy) {
    entropy.fill(ownNonce.expose());
    if (role == Role::RESPONDER) {
      noise = NoiseXk::responder(own.noiseKeys().clone(), PAIRING_PROLOGUE.asBytes(), entropy);
    }
  }

  void die() {
    dead = true;
    noise = nullptr;
    keys = nullptr;
    ownNonce.wipe();
    code = nullptr;
  }

  bool ourTurn() const { return step != Step::DECISION && sentByResponder(step) == (role == Role::RESPONDER); }
  void next() { step = Step(uint8_t(step) + 1); }

  Bytes handshakeMessage(kj::ArrayPtr<const kj::byte> payload) {
    auto written = KJ_ASSERT_NONNULL(noise).writeMessage(payload);
    if (written.is<Bytes>()) return kj::mv(written.get<Bytes>());
    die();  // the peer's key is a low-order point
    return nullptr;
  }
  Bytes sealed(kj::ArrayPtr<const kj::byte> plain) {
    return KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(keys).send.tryEncrypt(nullptr, plain));
  }

  kj::Maybe<PairingError> takeHandshake(kj::ArrayPtr<const kj::byte> body);
  kj::Maybe<PairingError> takeSealed(kj::ArrayPtr<const kj::byte> body);
  kj::Maybe<PairingError> takeProof(kj::ArrayPtr<const kj::byte> proof);
  void show(kj::ArrayPtr<const kj::byte> peerNonce);
};

PairingExchange::PairingExchange(Role role, const DeviceIdentity& own, Entropy& entropy)
    : state(kj::heap<State>(role, own, entropy)) {}
PairingExchange::PairingExchange(PairingExchange&&) = default;
PairingExchange::~PairingExchange() noexcept(false) = default;

// ---- sending

kj::Maybe<Bytes> PairingExchange::nextFrame() {
  auto& s = *state;
  if (s.dead || !s.ourTurn()) return nullptr;
  Bytes body;
  switch (s.step) {
    case Step::HELLO:
      body = kj::heapArray(asBytes(s.own.noiseKeys().publicKey()));
      break;
    case Step::MESSAGE_1:
      body = s.handshakeMessage(nullptr);
      break;
    case Step::MESSAGE_2:
      body = s.handshakeMessage(s.own.prove(ProofRole::SERVER));
      break;
    case Step::MESSAGE_3:
      body = s.handshakeMessage(s.own.prove(ProofRole::CLIENT));
      if (!s.dead) s.keys = KJ_ASSERT_NONNULL(s.noise).finish();
      break;
    case Step::COMMIT:
      body = s.sealed(asBytes(commitmentOf(KJ_ASSERT_NONNULL(s.keys).handshakeHash, s.ownNonce.expose())));
      break;
    case Step::NONCE:
    case Step::OPEN:
      body = s.sealed(s.ownNonce.expose());
      s.nonceOut = true;
      break;
    case Step::DECISION:
      KJ_UNREACHABLE;
  }
  if (s.dead) return nullptr;
  s.next();
  return framed(body);
}

Bytes PairingExchange::decide(bool same) {
  auto& s = *state;
  KJ_REQUIRE(code() != nullptr && !s.decided, "there is nothing to decide");
  s.decided = true;
  kj::byte decision = same ? SAME : DIFFERENT;
  return framed(s.sealed(kj::arrayPtr(&decision, 1)));
}

// ---- receiving

kj::Maybe<size_t> PairingExchange::expectedBytes() const {
  auto& s = *state;
  if (s.dead || s.ourTurn() || s.peerDecision != nullptr) return nullptr;
  return BODY_BYTES[size_t(s.step)];
}

kj::Maybe<PairingError> PairingExchange::take(kj::ArrayPtr<const kj::byte> body) {
  auto& s = *state;
  if (s.dead) return PairingError::DEAD;
  auto error = [&]() -> kj::Maybe<PairingError> {
    KJ_IF_MAYBE (expected, expectedBytes()) {
      if (body.size() != *expected) return PairingError::BAD_LENGTH;
    } else {
      return PairingError::OUT_OF_ORDER;
    }
    return s.step < Step::COMMIT ? s.takeHandshake(body) : s.takeSealed(body);
  }();
  if (error != nullptr) s.die();
  return error;
}

kj::Maybe<PairingError> PairingExchange::State::takeHandshake(kj::ArrayPtr<const kj::byte> body) {
  if (step == Step::HELLO) {
    auto responder = keyBytes(body);
    if (responder == own.noiseKeys().publicKey()) return PairingError::OURSELVES;
    noise = NoiseXk::initiator(own.noiseKeys().clone(), responder, PAIRING_PROLOGUE.asBytes(), entropy);
    next();
    return nullptr;
  }
  auto read = KJ_ASSERT_NONNULL(noise).readMessage(body);
  if (read.is<NoiseError>()) return PairingError::NOT_AUTHENTIC;
  if (step != Step::MESSAGE_1) {
    auto wrong = takeProof(read.get<Bytes>());
    if (wrong != nullptr) return wrong;
  }
  if (step == Step::MESSAGE_3) keys = KJ_ASSERT_NONNULL(noise).finish();
  next();
  return nullptr;
}

kj::Maybe<PairingError> PairingExchange::State::takeProof(kj::ArrayPtr<const kj::byte> proof) {
  auto proven = verifyProof(proof, role == Role::INITIATOR ? ProofRole::SERVER : ProofRole::CLIENT,
                            KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(noise).remoteStatic()));
  if (proven.is<IdentityError>()) return PairingError::BAD_PROOF;
  peer = kj::mv(proven.get<PublicIdentity>());
  if (peer.deviceId == own.deviceId()) return PairingError::OURSELVES;
  return nullptr;
}

kj::Maybe<PairingError> PairingExchange::State::takeSealed(kj::ArrayPtr<const kj::byte> body) {
  auto& transport = KJ_ASSERT_NONNULL(keys);
  auto opened = transport.receive.tryDecrypt(nullptr, body);
  if (opened == nullptr) return PairingError::NOT_AUTHENTIC;
  auto& plain = KJ_ASSERT_NONNULL(opened);
  switch (step) {
    case Step::COMMIT:
      commitment = keyBytes(plain);
      next();
      return nullptr;
    case Step::NONCE:
      show(plain);
      next();
      return nullptr;
    case Step::OPEN:
      if (commitmentOf(transport.handshakeHash, plain) != commitment) return PairingError::BAD_COMMITMENT;
      show(plain);
      next();
      return nullptr;
    default:
      if (plain[0] != SAME && plain[0] != DIFFERENT) return PairingError::BAD_DECISION;
      peerDecision = plain[0] == SAME;
      return nullptr;
  }
}

void PairingExchange::State::show(kj::ArrayPtr<const kj::byte> peerNonce) {
  auto& hash = KJ_ASSERT_NONNULL(keys).handshakeHash;
  code =
      role == Role::INITIATOR ? codeOf(hash, ownNonce.expose(), peerNonce) : codeOf(hash, peerNonce, ownNonce.expose());
}

// ---- what came of it

bool PairingExchange::nonceIsOut() const {
  return state->nonceOut;
}

kj::Maybe<kj::StringPtr> PairingExchange::code() const {
  // The responder knows it one step earlier, and keeps it until its own nonce is out.
  if (state->dead || state->step != Step::DECISION) return nullptr;
  return kj::StringPtr(state->code);
}

const PublicIdentity& PairingExchange::peer() const {
  KJ_REQUIRE(code() != nullptr, "the peer is not known yet");
  return state->peer;
}

kj::Maybe<bool> PairingExchange::peerDecision() const {
  return state->peerDecision;
}

bool PairingExchange::isDead() const {
  return state->dead;
}

kj::StringPtr KJ_STRINGIFY(PairingError error) {
  switch (error) {
    case PairingError::OUT_OF_ORDER:
      return "a frame out of order"_kj;
    case PairingError::BAD_LENGTH:
      return "a frame of the wrong length"_kj;
    case PairingError::NOT_AUTHENTIC:
      return "a frame that is not authentic"_kj;
    case PairingError::BAD_PROOF:
      return "a wrong proof of identity"_kj;
    case PairingError::BAD_COMMITMENT:
      return "the nonce is not the one that was committed to"_kj;
    case PairingError::BAD_DECISION:
      return "a decision that is neither yes nor no"_kj;
    case PairingError::OURSELVES:
      return "the other node has this node's own key"_kj;
    case PairingError::DEAD:
      return "the exchange has failed earlier"_kj;
  }
  return "unknown"_kj;
}

}  // namespace nexus
