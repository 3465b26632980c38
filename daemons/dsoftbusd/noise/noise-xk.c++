#include "daemons/dsoftbusd/noise/noise-xk.h"

#include <kj/debug.h>
#include <kj/vector.h>
#include <sodium.h>

#include "daemons/dsoftbusd/noise/noise-symmetric.h"

namespace nexus {

namespace {

static_assert(crypto_scalarmult_BYTES == KEY_BYTES && crypto_scalarmult_SCALARBYTES == KEY_BYTES);

constexpr kj::StringPtr PROTOCOL_NAME = "Noise_XK_25519_ChaChaPoly_BLAKE2s"_kj;
constexpr int MESSAGE_COUNT = 3;

KeyBytes publicOf(const SecretBytes& secret) {
  KJ_REQUIRE(secret.size() == KEY_BYTES, "an X25519 key is 32 bytes", secret.size());
  KeyBytes key;
  KJ_ASSERT(crypto_scalarmult_base(key.data(), secret.expose().begin()) == 0);
  return key;
}

// X25519. Null when the result is all zeros, as it is for every low-order point.
kj::Maybe<SecretBytes> trySharedSecret(const NoiseKeyPair& own, const KeyBytes& theirs) {
  SecretBytes shared(KEY_BYTES);
  if (crypto_scalarmult(shared.expose().begin(), own.secret().expose().begin(), theirs.data()) != 0) return nullptr;
  return kj::mv(shared);
}

}  // namespace

NoiseKeyPair::NoiseKeyPair(SecretBytes secret) : secretKey(kj::mv(secret)), publicBytes(publicOf(secretKey)) {}

kj::StringPtr KJ_STRINGIFY(NoiseError error) {
  switch (error) {
    case NoiseError::BAD_LENGTH:
      return "bad length"_kj;
    case NoiseError::CRYPTO:
      return "not authentic"_kj;
    case NoiseError::WEAK_KEY:
      return "weak key"_kj;
    case NoiseError::OUT_OF_ORDER:
      return "out of order"_kj;
    case NoiseError::DEAD:
      return "failed earlier"_kj;
  }
  return "unknown"_kj;
}

// Everything of one attempt. step is the message that comes next: 0, 1, 2; then MESSAGE_COUNT.
struct NoiseXk::State {
  bool initiator;
  Entropy& entropy;
  NoiseSymmetric symmetric{PROTOCOL_NAME};
  NoiseKeyPair own;
  kj::Maybe<NoiseKeyPair> ephemeral;
  kj::Maybe<KeyBytes> remoteStatic, remoteEphemeral;
  int step = 0;
  bool dead = false, taken = false;

  State(bool initiator, NoiseKeyPair own, Entropy& entropy)
      : initiator(initiator), entropy(entropy), own(kj::mv(own)) {}

  bool ourTurn() const { return step < MESSAGE_COUNT && (step % 2 == 0) == initiator; }

  void wipe() {
    ephemeral = nullptr;
    own.wipe();
    symmetric.wipe();
  }

  // The object only says DEAD from here on.
  NoiseError die(NoiseError error) {
    dead = true;
    wipe();
    remoteStatic = nullptr;
    return error;
  }

  bool tryMixDh(const NoiseKeyPair& ours, const KeyBytes& theirs) {
    auto shared = trySharedSecret(ours, theirs);
    KJ_IF_MAYBE (s, shared) {
      symmetric.mixKey(*s);
      return true;
    }
    return false;
  }

  // The DH of the message in this step: es, ee, se, named as seen by the initiator.
  bool tryMix() {
    bool withOwn = step == 0 ? !initiator : step == 2 && initiator;
    bool withTheirs = step == 0 ? initiator : step == 2 && !initiator;
    return tryMixDh(withOwn ? own : KJ_ASSERT_NONNULL(ephemeral),
                    KJ_ASSERT_NONNULL(withTheirs ? remoteStatic : remoteEphemeral));
  }

  void makeEphemeral() {
    SecretBytes secret(KEY_BYTES);
    entropy.fill(secret.expose());
    ephemeral = NoiseKeyPair(kj::mv(secret));
  }
};

NoiseXk::NoiseXk(kj::Own<State> state) : state(kj::mv(state)) {}
NoiseXk::NoiseXk(NoiseXk&&) = default;
NoiseXk::~NoiseXk() noexcept(false) = default;

NoiseXk NoiseXk::initiator(NoiseKeyPair own, const KeyBytes& remoteStatic, kj::ArrayPtr<const kj::byte> prologue,
                           Entropy& entropy) {
  auto state = kj::heap<State>(true, kj::mv(own), entropy);
  state->remoteStatic = remoteStatic;
  state->symmetric.mixHash(prologue);
  state->symmetric.mixHash(asBytes(remoteStatic));  // pre-message: <- s
  return NoiseXk(kj::mv(state));
}

NoiseXk NoiseXk::responder(NoiseKeyPair own, kj::ArrayPtr<const kj::byte> prologue, Entropy& entropy) {
  auto state = kj::heap<State>(false, kj::mv(own), entropy);
  state->symmetric.mixHash(prologue);
  state->symmetric.mixHash(asBytes(state->own.publicKey()));
  return NoiseXk(kj::mv(state));
}

NoiseXk::Written NoiseXk::writeMessage(kj::ArrayPtr<const kj::byte> payload) {
  auto& s = *state;
  if (s.dead) return NoiseError::DEAD;
  if (!s.ourTurn()) return s.die(NoiseError::OUT_OF_ORDER);
  if (payload.size() > NOISE_MAX_MESSAGE - MESSAGE_BYTES[s.step]) return s.die(NoiseError::BAD_LENGTH);
  kj::Vector<kj::byte> out(MESSAGE_BYTES[s.step] + payload.size());
  if (s.step < 2) {
    s.makeEphemeral();  // -> e
    auto& e = KJ_ASSERT_NONNULL(s.ephemeral).publicKey();
    s.symmetric.mixHash(asBytes(e));
    out.addAll(asBytes(e));
  } else {
    out.addAll(s.symmetric.encryptAndHash(asBytes(s.own.publicKey())));  // -> s
  }
  if (!s.tryMix()) return s.die(NoiseError::WEAK_KEY);
  out.addAll(s.symmetric.encryptAndHash(payload));
  s.step++;
  return out.releaseAsArray();
}

NoiseXk::Read NoiseXk::readMessage(kj::ArrayPtr<const kj::byte> message) {
  auto& s = *state;
  if (s.dead) return NoiseError::DEAD;
  if (s.ourTurn() || s.step == MESSAGE_COUNT) return s.die(NoiseError::OUT_OF_ORDER);
  if (message.size() < MESSAGE_BYTES[s.step] || message.size() > NOISE_MAX_MESSAGE) {
    return s.die(NoiseError::BAD_LENGTH);
  }
  size_t keySize = MESSAGE_BYTES[s.step] - NOISE_TAG_BYTES;
  auto key = message.slice(0, keySize), rest = message.slice(keySize, message.size());
  if (s.step < 2) {
    s.remoteEphemeral = keyBytes(key);
    s.symmetric.mixHash(key);
  } else {
    auto opened = s.symmetric.tryDecryptAndHash(key);
    KJ_IF_MAYBE (k, opened)
      s.remoteStatic = keyBytes(*k);
    else
      return s.die(NoiseError::CRYPTO);
  }
  if (!s.tryMix()) return s.die(NoiseError::WEAK_KEY);
  auto payload = s.symmetric.tryDecryptAndHash(rest);
  KJ_IF_MAYBE (p, payload) {
    s.step++;
    return kj::mv(*p);
  }
  return s.die(NoiseError::CRYPTO);
}

bool NoiseXk::isOurTurn() const {
  return !state->dead && state->ourTurn();
}
bool NoiseXk::isFinished() const {
  return !state->dead && state->step == MESSAGE_COUNT;
}
bool NoiseXk::isDead() const {
  return state->dead;
}

kj::Maybe<const KeyBytes&> NoiseXk::remoteStatic() const {
  // The responder learns it within one message, and forgets it when that message fails: a claim never shows.
  return state->remoteStatic.map([](const KeyBytes& k) -> const KeyBytes& { return k; });
}

kj::Maybe<NoiseTransport> NoiseXk::finish() {
  auto& s = *state;
  if (!isFinished() || s.taken) return nullptr;
  s.taken = true;
  KeyBytes hash = s.symmetric.handshakeHash();
  auto keys = s.symmetric.split();
  s.wipe();
  auto& remote = KJ_ASSERT_NONNULL(s.remoteStatic);
  if (s.initiator) {
    return NoiseTransport{kj::mv(keys.initiatorToResponder), kj::mv(keys.responderToInitiator), hash, remote};
  }
  return NoiseTransport{kj::mv(keys.responderToInitiator), kj::mv(keys.initiatorToResponder), hash, remote};
}

}  // namespace nexus
