#pragma once
// The running hash and keys of a Noise handshake (revision 34, SymmetricState, section 5.2). Owned by one NoiseXk;
// knows no message pattern.
#include "daemons/dsoftbusd/crypto/blake2s.h"
#include "daemons/dsoftbusd/noise/noise-cipher.h"

namespace nexus {

class NoiseSymmetric {
 public:
  // protocolName is longer than 32 bytes and therefore hashed.
  explicit NoiseSymmetric(kj::StringPtr protocolName);

  void mixHash(kj::ArrayPtr<const kj::byte> data) { hash = blake2s({asBytes(hash), data}); }
  void mixKey(const SecretBytes& input);

  // XK encrypts nothing before its first mixKey: FAILED then.
  kj::Array<kj::byte> encryptAndHash(kj::ArrayPtr<const kj::byte> plaintext);

  // Null when the bytes are not authentic.
  kj::Maybe<kj::Array<kj::byte>> tryDecryptAndHash(kj::ArrayPtr<const kj::byte> ciphertext);

  // The two transport keys: first the initiator's to send with, then the responder's.
  struct Keys {
    NoiseCipher initiatorToResponder;
    NoiseCipher responderToInitiator;
  };
  Keys split();  // wipes what is left here

  void wipe();

  const KeyBytes& handshakeHash() const { return hash; }

 private:
  SecretBytes chainingKey;
  KeyBytes hash;
  kj::Maybe<NoiseCipher> cipher;
};

}  // namespace nexus
