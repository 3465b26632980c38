#pragma once
// Who a device is: an Ed25519 key. Everything else follows from its seed:
//
//   device id      = lowercase hexadecimal SHA-256 of the Ed25519 public key, 64 digits
//   Noise static   = clamp(SHA-256(seed))
//   proof          = Ed25519 public key (32) | signature (64) over SHA-256("server-static" or "client-static" | own
//   Noise public key)
//
// The proof travels as the payload of handshake message 2 (server) and 3 (client); the device id is not sent, it is
// recomputed. Owned by the daemon. Knows nothing of trust: who is known is the caller's table.
#include <kj/one-of.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/crypto/key-bytes.h"
#include "daemons/dsoftbusd/crypto/secret-bytes.h"
#include "daemons/dsoftbusd/noise/noise-xk.h"

namespace nexus {

constexpr size_t SEED_BYTES = 32;
constexpr size_t DEVICE_ID_CHARS = 64;
constexpr size_t PROOF_BYTES = 96;

enum class ProofRole { SERVER, CLIENT };  // responder, initiator of the handshake

// What others may know of a device.
struct PublicIdentity {
  kj::String deviceId;
  KeyBytes staticKey;  // X25519

  PublicIdentity clone() const { return {kj::heapString(deviceId), staticKey}; }
};

class DeviceIdentity {
 public:
  // seed: 32 bytes.
  explicit DeviceIdentity(const SecretBytes& seed);

  // A publicly known key for bring-up: the seed is SHA-256("nexus-net test identity " + text).
  static DeviceIdentity forTest(kj::StringPtr text);

  kj::StringPtr deviceId() const { return id; }
  const KeyBytes& verifyingKey() const { return verifying; }
  const NoiseKeyPair& noiseKeys() const { return noise; }
  PublicIdentity publicIdentity() const { return {kj::heapString(id), noise.publicKey()}; }

  // PROOF_BYTES bytes.
  kj::Array<kj::byte> prove(ProofRole role) const;

 private:
  KeyBytes verifying;
  SecretBytes signing;  // Ed25519 secret key, 64 bytes
  kj::String id;
  NoiseKeyPair noise;
};

// The text of an identity file: 64 hexadecimal digits, white space around them ignored. Null for anything else.
kj::Maybe<SecretBytes> tryParseSeed(kj::ArrayPtr<const char> text);

kj::String deviceIdOf(const KeyBytes& verifyingKey);
bool isDeviceId(kj::StringPtr text);  // 64 lowercase hexadecimal digits

enum class IdentityError {
  BAD_LENGTH,           // the proof is not 96 bytes
  BAD_SIGNATURE,        // not signed by that key, for another role, or for another Noise static key
  DEVICE_ID_MISMATCH,   // proven, but not the device that was expected
  STATIC_KEY_MISMATCH,  // the Noise static key is not the expected one
};
kj::StringPtr KJ_STRINGIFY(IdentityError error);

// The device that the peer proved to be. remoteStatic is the key that the handshake proved.
using Proven = kj::OneOf<PublicIdentity, IdentityError>;
Proven verifyProof(kj::ArrayPtr<const kj::byte> proof, ProofRole role, const KeyBytes& remoteStatic);

// Whether the proven peer is the expected one (from an announcement or the trust table), in both its device id and its
// static key. Null: it is.
kj::Maybe<IdentityError> checkBinding(const PublicIdentity& proven, const PublicIdentity& expected);

}  // namespace nexus
