#pragma once
// Two nodes that do not know each other yet make sure that they talk to each other and to nobody in between, with the
// help of two people who compare seven digits. Both roles, as a state machine over bytes; the why is in
// docs/decisions/0008-pairing-by-seven-digits.md. Owned by a pairing window, one object per connection. Moves no bytes,
// reads no clock, stores nothing; randomness comes only from the Entropy that is handed in.
//
// The initiator sends the four bytes PAIRING_MAGIC; then there are frames (u32 big-endian length, body):
//
//   hello     R -> I   32   R's Noise static public key
//   message 1 I -> R   48   Noise_XK_25519_ChaChaPoly_BLAKE2s, prologue PAIRING_PROLOGUE, empty payload
//   message 2 R -> I  144   payload: R's identity proof, as in the handshake of a session
//   message 3 I -> R  160   payload: I's identity proof
//   commit    R -> I   48   sealed with the keys of that handshake: BLAKE2s(COMMIT_LABEL | h | nR)
//   nonce     I -> R   48   sealed: nI, 32 random bytes
//   open      R -> I   48   sealed: nR, 32 random bytes
//   decision  both     17   sealed: 1 the digits are the same, 2 they are not; in either order, one each
//
// h is the hash of the handshake. The code is BLAKE2s(CODE_LABEL | h | nI | nR), its first eight bytes as a big-endian
// number, modulo 10^7. Whoever stands in between has two handshakes with two hashes, and must fix its nonce in each
// before it sees the honest one: it hits the same seven digits with a probability of 10^-7. Whoever plays the responder
// knows the code once it has nI, before the initiator does, and could break off and begin anew until it is the one it
// wants. So an exchange that fails when this node's nonce is out must not be followed by another until a person says
// so.
#include "daemons/dsoftbusd/trust/identity.h"
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

constexpr size_t PAIRING_MAGIC_BYTES = 4;
constexpr kj::StringPtr PAIRING_MAGIC = "NPR1"_kj;  // no length of a handshake message
constexpr kj::StringPtr PAIRING_PROLOGUE = "nexus-net dsoftbus pairing v1"_kj;
constexpr size_t PAIRING_CODE_DIGITS = 7;
constexpr size_t PAIRING_MAX_FRAME = 160;  // body, bytes

enum class PairingError {
  OUT_OF_ORDER,    // a frame where none may come
  BAD_LENGTH,      // a frame of another length than that of its step
  NOT_AUTHENTIC,   // a handshake message or a sealed frame was refused
  BAD_PROOF,       // the proof of the identity is wrong
  BAD_COMMITMENT,  // the opened nonce is not the one that was committed to
  BAD_DECISION,    // neither yes nor no
  OURSELVES,       // the peer has this node's own key
  DEAD,            // failed earlier
};
kj::StringPtr KJ_STRINGIFY(PairingError error);

class PairingExchange {
 public:
  enum class Role { INITIATOR, RESPONDER };

  // own and entropy outlive this.
  PairingExchange(Role role, const DeviceIdentity& own, Entropy& entropy);
  PairingExchange(PairingExchange&&);
  ~PairingExchange() noexcept(false);
  KJ_DISALLOW_COPY(PairingExchange);

  // What is to be sent now: a whole frame with its length. Null: nothing, or not yet; dead if the peer's key is no key.
  kj::Maybe<kj::Array<kj::byte>> nextFrame();

  // The length that the body of the peer's next frame must have; null when none may come.
  kj::Maybe<size_t> expectedBytes() const;

  // The body of the peer's next frame. What is wrong with it; then the exchange is dead for good.
  kj::Maybe<PairingError> take(kj::ArrayPtr<const kj::byte> body);

  // Whether the other end may know the code: from then on a failure ends more than this exchange (see above).
  bool nonceIsOut() const;

  // Once both nonces are open: "123-4567", and who is at the other end if it is the same there. Null before.
  kj::Maybe<kj::StringPtr> code() const;
  const PublicIdentity& peer() const;  // only with a code

  // What the person at this end says; once, and only with a code. The frame to be sent.
  kj::Array<kj::byte> decide(bool same);

  // What the person at the other end said; null before.
  kj::Maybe<bool> peerDecision() const;
  bool isDead() const;

 private:
  struct State;
  kj::Own<State> state;
};

}  // namespace nexus
