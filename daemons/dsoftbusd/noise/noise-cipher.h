#pragma once
// One direction of encryption: ChaCha20-Poly1305 under one key with a counter (Noise revision 34, CipherState,
// section 5.1). Owned by a handshake or by a record channel. Knows nothing of framing, of the handshake or of time.
#include <kj/array.h>

#include <cstdint>

#include "daemons/dsoftbusd/crypto/secret-bytes.h"

namespace nexus {

constexpr size_t NOISE_TAG_BYTES = 16;
constexpr size_t NOISE_MAX_MESSAGE = 65535;  // bytes of one Noise message, tag included

// A message whose tag was checked and whose text, but for its start, is still encrypted: whoever has looked at the
// start says where the rest belongs, and it is decrypted there. Made by a cipher, which must live on and keep its key
// meanwhile.
class VerifiedMessage {
 public:
  static constexpr size_t START_BYTES = 64;  // one block

  // Of the plaintext.
  size_t size() const { return sealed.size(); }
  kj::ArrayPtr<const kj::byte> start() const { return kj::arrayPtr(first, kj::min(size(), START_BYTES)); }

  // The plaintext from there on, at most START_BYTES, into a place of exactly its size, which may be where it lies.
  void open(size_t from, kj::ArrayPtr<kj::byte> out) const;

 private:
  friend class NoiseCipher;
  kj::ArrayPtr<const kj::byte> sealed;
  const SecretBytes* key = nullptr;
  uint64_t counter = 0;
  kj::byte first[START_BYTES];
};

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

  // For records, without associated data; bit for bit the same. Seals head and then rest to `out`, which has room for
  // both and the tag and no more, and no byte in common with either. False when the counter has reached its end.
  bool trySealTo(kj::ArrayPtr<kj::byte> out, kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> rest);

  // Null as tryDecrypt, and then nothing was decrypted.
  kj::Maybe<VerifiedMessage> tryVerify(kj::ArrayPtr<const kj::byte> ciphertext);

  // REKEY (section 4.2): the next key from this one; the counter goes on.
  void rekey();

  uint64_t nonce() const { return counter; }

 private:
  SecretBytes key;
  uint64_t counter;
};

}  // namespace nexus
