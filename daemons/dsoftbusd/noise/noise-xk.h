#pragma once
// The handshake Noise_XK_25519_ChaChaPoly_BLAKE2s (Noise revision 34, section 7.5), both roles, as a state machine over
// bytes:
//
//   <- s                       the initiator knows the responder's static key beforehand
//   -> e, es        48 bytes   + payload
//   <- e, ee        48 bytes   + payload
//   -> s, se        64 bytes   + payload
//
// One object per attempt, owned by a session. It reads no clock and moves no bytes. Any failure kills it for good: its
// keys are wiped and every later call answers NoiseError::DEAD. Randomness comes only from the Entropy that is handed
// in.
#include <kj/array.h>
#include <kj/one-of.h>

#include "daemons/dsoftbusd/crypto/key-bytes.h"
#include "daemons/dsoftbusd/crypto/secret-bytes.h"
#include "daemons/dsoftbusd/noise/noise-cipher.h"
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

// An X25519 key pair.
class NoiseKeyPair {
 public:
  // secret: 32 bytes, clamped by X25519 itself.
  explicit NoiseKeyPair(SecretBytes secret);
  NoiseKeyPair clone() const { return NoiseKeyPair(secretKey.clone()); }

  const KeyBytes& publicKey() const { return publicBytes; }
  const SecretBytes& secret() const { return secretKey; }
  void wipe() { secretKey.wipe(); }

 private:
  SecretBytes secretKey;
  KeyBytes publicBytes;
};

enum class NoiseError {
  BAD_LENGTH,    // shorter than the message's fixed part, or longer than 65535 bytes
  CRYPTO,        // a part of the message is not authentic: wrong key, other prologue, changed bytes
  WEAK_KEY,      // an X25519 result of all zeros: the peer sent a low-order point
  OUT_OF_ORDER,  // written when a message was to be read, or the reverse
  DEAD,          // failed earlier
};
kj::StringPtr KJ_STRINGIFY(NoiseError error);

// What a finished handshake leaves behind.
struct NoiseTransport {
  NoiseCipher send;
  NoiseCipher receive;
  KeyBytes handshakeHash;  // the same at both ends, different in every session: for binding
  KeyBytes remoteStatic;   // proven to be the peer's
};

class NoiseXk {
 public:
  static constexpr size_t MESSAGE_BYTES[3] = {48, 48, 64};  // with empty payloads

  // prologue: what both sides agree on beforehand; they fail on the first message if it differs.
  static NoiseXk initiator(NoiseKeyPair own, const KeyBytes& remoteStatic, kj::ArrayPtr<const kj::byte> prologue,
                           Entropy& entropy);
  static NoiseXk responder(NoiseKeyPair own, kj::ArrayPtr<const kj::byte> prologue, Entropy& entropy);

  NoiseXk(NoiseXk&&);
  ~NoiseXk() noexcept(false);
  KJ_DISALLOW_COPY(NoiseXk);

  // The next message, ready to be sent. The payload of message 1 has no forward secrecy and is readable by whoever
  // holds the responder's key; that of message 2 is not yet tied to a known initiator; that of message 3 is strong
  // (section 7.7).
  using Written = kj::OneOf<kj::Array<kj::byte>, NoiseError>;
  Written writeMessage(kj::ArrayPtr<const kj::byte> payload = nullptr);

  // The payload of the peer's next message: exactly one message, no more, no less.
  using Read = kj::OneOf<kj::Array<kj::byte>, NoiseError>;
  Read readMessage(kj::ArrayPtr<const kj::byte> message);

  // Who is to act next.
  bool isOurTurn() const;
  bool isFinished() const;
  bool isDead() const;

  // The peer's static key: known to the initiator from the start, to the responder once message 3 is read. Null before,
  // and when dead.
  kj::Maybe<const KeyBytes&> remoteStatic() const;

  // The transport keys, once, after all three messages; null when not finished, dead, or already taken.
  kj::Maybe<NoiseTransport> finish();

 private:
  struct State;
  kj::Own<State> state;
  explicit NoiseXk(kj::Own<State> state);
};

}  // namespace nexus
