#pragma once
// One direction of encryption: ChaCha20-Poly1305 under one key with a counter (Noise revision 34, CipherState,
// section 5.1). Owned by a handshake or by a record channel. Knows nothing of framing, of the handshake or of time.
#include <kj/array.h>

#include <cstdint>

#include "daemons/dsoftbusd/crypto/secret-bytes.h"

namespace nexus {

constexpr size_t NOISE_TAG_BYTES = 16;
constexpr size_t NOISE_MAX_MESSAGE = 65535;  // bytes of one Noise message, tag included

class NoiseCipher {
 public:
  // The counter value that is reserved: it is never used for a message.
  static constexpr uint64_t RESERVED_NONCE = ~uint64_t(0);

  // key: 32 bytes. firstNonce other than 0 is for a resumed counter and for tests of its end.
  explicit NoiseCipher(SecretBytes key, uint64_t firstNonce = 0);
  NoiseCipher(NoiseCipher&&) = default;
  NoiseCipher& operator=(NoiseCipher&&) = default;
  KJ_DISALLOW_COPY(NoiseCipher);

  // Ciphertext is 16 bytes longer than the plaintext. Null when the counter has reached its end: this key must not be
  // used any more.
  kj::Maybe<kj::Array<kj::byte>> tryEncrypt(kj::ArrayPtr<const kj::byte> ad, kj::ArrayPtr<const kj::byte> plaintext);

  // Null when the bytes are not authentic, too short, or the counter is at its end; the counter then stays where it
  // was.
  kj::Maybe<kj::Array<kj::byte>> tryDecrypt(kj::ArrayPtr<const kj::byte> ad, kj::ArrayPtr<const kj::byte> ciphertext);

  // The same where the bytes are, for records: the plaintext is all but the last 16 bytes, which the tag takes. False
  // when the counter has reached its end.
  bool trySealInPlace(kj::ArrayPtr<kj::byte> plaintextAndTag);

  // Null as above; then the bytes are worth nothing.
  kj::Maybe<kj::ArrayPtr<kj::byte>> tryOpenInPlace(kj::ArrayPtr<kj::byte> ciphertext);

  // The same to another place, exactly as large as the plaintext. False: then that is worth nothing.
  bool tryOpen(kj::ArrayPtr<const kj::byte> ciphertext, kj::ArrayPtr<kj::byte> plaintext);

  // REKEY (section 4.2): the next key from this one; the counter goes on.
  void rekey();

  uint64_t nonce() const { return counter; }

 private:
  SecretBytes key;
  uint64_t counter;
};

}  // namespace nexus
