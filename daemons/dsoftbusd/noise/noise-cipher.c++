#include "daemons/dsoftbusd/noise/noise-cipher.h"

#include <kj/debug.h>
#include <sodium.h>

#include <cstring>

namespace nexus {

namespace {

static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == NOISE_TAG_BYTES);
constexpr size_t CIPHER_KEY_BYTES = crypto_aead_chacha20poly1305_ietf_KEYBYTES;

// Section 12.3: 32 bits of zeros, then the counter little-endian.
struct Nonce {
  kj::byte bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
  explicit Nonce(uint64_t counter) {
    for (int i = 0; i < 8; i++) bytes[4 + i] = counter >> 8 * i;
  }
};

void seal(kj::byte* out, const SecretBytes& key, uint64_t counter, kj::ArrayPtr<const kj::byte> ad,
          kj::ArrayPtr<const kj::byte> plaintext) {
  Nonce nonce(counter);
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plaintext.begin(), plaintext.size(), ad.begin(), ad.size(),
                                            nullptr, nonce.bytes, key.expose().begin());
}

// The parts of RFC 8439, section 2.8, from which a long text is sealed without being put together first: block 0 of the
// key stream gives the tag's key, block 1 is for the text's first bytes, which come from two places.
constexpr size_t BLOCK_BYTES = VerifiedMessage::START_BYTES;
constexpr size_t LONG_TEXT = 1024;
static_assert(crypto_onetimeauth_poly1305_BYTES == NOISE_TAG_BYTES);

class FirstBlocks {
 public:
  // head and then as much of rest as there is room for.
  FirstBlocks(const SecretBytes& key, const Nonce& nonce, kj::ArrayPtr<const kj::byte> head,
              kj::ArrayPtr<const kj::byte> rest) {
    auto at = bytes + BLOCK_BYTES;
    if (head.size() > 0) memcpy(at, head.begin(), head.size());
    size_t more = kj::min(rest.size(), BLOCK_BYTES - head.size());
    if (more > 0) memcpy(at + head.size(), rest.begin(), more);
    crypto_stream_chacha20_ietf_xor_ic(bytes, bytes, sizeof(bytes), nonce.bytes, 0, key.expose().begin());
  }
  ~FirstBlocks() { wipeMemory(kj::arrayPtr(bytes, sizeof(bytes))); }
  KJ_DISALLOW_COPY_AND_MOVE(FirstBlocks);

  const kj::byte* tagKey() const { return bytes; }
  kj::ArrayPtr<const kj::byte> text() const { return kj::arrayPtr(bytes + BLOCK_BYTES, BLOCK_BYTES); }

 private:
  kj::byte bytes[2 * BLOCK_BYTES] = {};
};

void cryptRest(kj::byte* out, const SecretBytes& key, const Nonce& nonce, kj::ArrayPtr<const kj::byte> in) {
  if (in.size() == 0) return;
  crypto_stream_chacha20_ietf_xor_ic(out, in.begin(), in.size(), nonce.bytes, 2, key.expose().begin());
}

// The tag of a ciphertext without associated data: padded to 16 bytes, then both lengths, little-endian.
void authenticate(kj::byte* tag, const kj::byte* tagKey, kj::ArrayPtr<const kj::byte> ciphertext) {
  kj::byte trailer[2 * 16] = {};
  size_t padding = -ciphertext.size() & 15;
  for (int i = 0; i < 8; i++) trailer[padding + 8 + i] = uint64_t(ciphertext.size()) >> 8 * i;
  crypto_onetimeauth_poly1305_state state;
  crypto_onetimeauth_poly1305_init(&state, tagKey);
  crypto_onetimeauth_poly1305_update(&state, ciphertext.begin(), ciphertext.size());
  crypto_onetimeauth_poly1305_update(&state, trailer, padding + 16);
  crypto_onetimeauth_poly1305_final(&state, tag);
}

void sealLong(kj::ArrayPtr<kj::byte> out, const SecretBytes& key, uint64_t counter, kj::ArrayPtr<const kj::byte> head,
              kj::ArrayPtr<const kj::byte> rest) {
  Nonce nonce(counter);
  FirstBlocks blocks(key, nonce, head, rest);
  memcpy(out.begin(), blocks.text().begin(), BLOCK_BYTES);
  cryptRest(out.begin() + BLOCK_BYTES, key, nonce, rest.slice(BLOCK_BYTES - head.size(), rest.size()));
  auto ciphertext = out.slice(0, out.size() - NOISE_TAG_BYTES);
  authenticate(ciphertext.end(), blocks.tagKey(), ciphertext);
}

}  // namespace

NoiseCipher::NoiseCipher(SecretBytes k, uint64_t firstNonce) : key(kj::mv(k)), counter(firstNonce) {
  KJ_REQUIRE(key.size() == CIPHER_KEY_BYTES, "a cipher key is 32 bytes", key.size());
}

kj::Maybe<kj::Array<kj::byte>> NoiseCipher::tryEncrypt(kj::ArrayPtr<const kj::byte> ad,
                                                       kj::ArrayPtr<const kj::byte> plaintext) {
  if (counter == RESERVED_NONCE) return nullptr;
  auto out = kj::heapArray<kj::byte>(plaintext.size() + NOISE_TAG_BYTES);
  seal(out.begin(), key, counter, ad, plaintext);
  counter++;
  return kj::mv(out);
}

kj::Maybe<kj::Array<kj::byte>> NoiseCipher::tryDecrypt(kj::ArrayPtr<const kj::byte> ad,
                                                       kj::ArrayPtr<const kj::byte> ciphertext) {
  if (counter == RESERVED_NONCE || ciphertext.size() < NOISE_TAG_BYTES) return nullptr;
  auto out = kj::heapArray<kj::byte>(ciphertext.size() - NOISE_TAG_BYTES);
  Nonce nonce(counter);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(out.begin(), nullptr, nullptr, ciphertext.begin(), ciphertext.size(),
                                                ad.begin(), ad.size(), nonce.bytes, key.expose().begin()) != 0) {
    return nullptr;
  }
  counter++;
  return kj::mv(out);
}

bool NoiseCipher::trySealTo(kj::ArrayPtr<kj::byte> out, kj::ArrayPtr<const kj::byte> head,
                            kj::ArrayPtr<const kj::byte> rest) {
  auto text = out.slice(0, head.size() + rest.size());
  KJ_REQUIRE(out.size() == text.size() + NOISE_TAG_BYTES, "the place does not fit", out.size());
  if (counter == RESERVED_NONCE) return false;
  if (head.size() <= BLOCK_BYTES && text.size() >= LONG_TEXT) {
    sealLong(out, key, counter, head, rest);
  } else {
    // Little to copy, and one call is faster than its parts.
    if (head.size() > 0) memcpy(text.begin(), head.begin(), head.size());
    if (rest.size() > 0) memcpy(text.begin() + head.size(), rest.begin(), rest.size());
    seal(out.begin(), key, counter, nullptr, text);
  }
  counter++;
  return true;
}

kj::Maybe<VerifiedMessage> NoiseCipher::tryVerify(kj::ArrayPtr<const kj::byte> ciphertext) {
  if (counter == RESERVED_NONCE || ciphertext.size() < NOISE_TAG_BYTES) return nullptr;
  VerifiedMessage message;
  message.sealed = ciphertext.slice(0, ciphertext.size() - NOISE_TAG_BYTES);
  message.key = &key;
  message.counter = counter;
  auto start = message.sealed.slice(0, kj::min(message.size(), BLOCK_BYTES));
  FirstBlocks blocks(key, Nonce(counter), start, nullptr);
  kj::byte tag[NOISE_TAG_BYTES];
  authenticate(tag, blocks.tagKey(), message.sealed);
  if (crypto_verify_16(tag, message.sealed.end()) != 0) return nullptr;
  memcpy(message.first, blocks.text().begin(), start.size());
  counter++;
  return message;
}

void VerifiedMessage::open(size_t from, kj::ArrayPtr<kj::byte> out) const {
  auto begun = start();
  KJ_REQUIRE(from <= begun.size() && out.size() == size() - from, "the place does not fit", from, out.size());
  size_t done = begun.size() - from;
  // The rest first: the place may be where the ciphertext lies.
  cryptRest(out.begin() + done, *key, Nonce(counter), sealed.slice(begun.size(), size()));
  if (done > 0) memcpy(out.begin(), begun.begin() + from, done);
}

void NoiseCipher::rekey() {
  const kj::byte zeros[CIPHER_KEY_BYTES] = {};
  SecretBytes sealed(CIPHER_KEY_BYTES + NOISE_TAG_BYTES);
  seal(sealed.expose().begin(), key, RESERVED_NONCE, nullptr, kj::arrayPtr(zeros, sizeof(zeros)));
  key = SecretBytes::copyOf(sealed.expose().slice(0, CIPHER_KEY_BYTES));
}

}  // namespace nexus
