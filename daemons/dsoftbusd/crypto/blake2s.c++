#include "daemons/dsoftbusd/crypto/blake2s.h"

#include <kj/debug.h>
#include <openssl/evp.h>

#include <cstring>

namespace nexus {

namespace {

// Fetched once: a fetch per hash would cost more than the hash. Never written again, never freed.
const EVP_MD* algorithm() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "BLAKE2S-256", nullptr);
  KJ_ASSERT(md != nullptr, "OpenSSL has no BLAKE2s: libcrypto 3 with its default provider is needed");
  return md;
}

// One hash in progress. OpenSSL wipes the state when it is freed.
class Hasher {
 public:
  Hasher() : context(EVP_MD_CTX_new()) {
    KJ_ASSERT(context != nullptr && EVP_DigestInit_ex2(context, algorithm(), nullptr) == 1);
  }
  ~Hasher() noexcept { EVP_MD_CTX_free(context); }
  KJ_DISALLOW_COPY_AND_MOVE(Hasher);

  void add(kj::ArrayPtr<const kj::byte> bytes) {
    KJ_ASSERT(EVP_DigestUpdate(context, bytes.begin(), bytes.size()) == 1);
  }

  void finish(kj::byte* out) {
    kj::uint size = 0;
    KJ_ASSERT(EVP_DigestFinal_ex(context, out, &size) == 1 && size == BLAKE2S_BYTES);
  }

 private:
  EVP_MD_CTX* context;
};

}  // namespace

KeyBytes blake2s(ByteParts parts) {
  Hasher hasher;
  for (auto part : parts) hasher.add(part);
  KeyBytes digest;
  hasher.finish(digest.data());
  return digest;
}

void hmacBlake2s(kj::ArrayPtr<const kj::byte> key, ByteParts parts, kj::ArrayPtr<kj::byte> out) {
  KJ_REQUIRE(key.size() <= BLAKE2S_BLOCK_BYTES && out.size() == BLAKE2S_BYTES);
  SecretBytes pad(BLAKE2S_BLOCK_BYTES), inner(BLAKE2S_BYTES);
  auto padBytes = pad.expose();
  if (key.size() > 0) memcpy(padBytes.begin(), key.begin(), key.size());
  for (kj::byte& b : padBytes) b ^= 0x36;
  {
    Hasher hasher;
    hasher.add(padBytes);
    for (auto part : parts) hasher.add(part);
    hasher.finish(inner.expose().begin());
  }
  for (kj::byte& b : padBytes) b ^= 0x36 ^ 0x5c;
  Hasher hasher;
  hasher.add(padBytes);
  hasher.add(inner.expose());
  hasher.finish(out.begin());
}

HkdfPair hkdfBlake2s(const SecretBytes& chainingKey, kj::ArrayPtr<const kj::byte> input) {
  constexpr kj::byte ONE = 1, TWO = 2;
  SecretBytes temporary(BLAKE2S_BYTES), first(BLAKE2S_BYTES), second(BLAKE2S_BYTES);
  hmacBlake2s(chainingKey.expose(), {input}, temporary.expose());
  hmacBlake2s(temporary.expose(), {kj::arrayPtr(&ONE, 1)}, first.expose());
  hmacBlake2s(temporary.expose(), {first.expose(), kj::arrayPtr(&TWO, 1)}, second.expose());
  return {kj::mv(first), kj::mv(second)};
}

}  // namespace nexus
