#pragma once
// The two halves of ChaCha20-Poly1305 (RFC 8439), for records that are sealed and opened in pieces. Owned by a cipher,
// one thread at a time. The loops are OpenSSL's, which use the widest vectors that the processor has: two to three
// times as fast as libsodium's for full records. This is the only place that knows. Holds no key from one call to the
// next.
#include <kj/array.h>

#include <cstdint>
#include <initializer_list>

struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace nexus {

constexpr size_t CHACHA_KEY_BYTES = 32;
constexpr size_t CHACHA_NONCE_BYTES = 12;
constexpr size_t CHACHA_BLOCK_BYTES = 64;
constexpr size_t POLY_TAG_BYTES = 16;

class ChachaPoly {
 public:
  ChachaPoly();
  ~ChachaPoly() noexcept;
  KJ_DISALLOW_COPY_AND_MOVE(ChachaPoly);

  // Section 2.4: `in`, at most 1 GiB, combined with the key stream from its block number `block` on. `out` is as long
  // and either the same place or another.
  void crypt(kj::byte* out, kj::ArrayPtr<const kj::byte> in, kj::ArrayPtr<const kj::byte> key,
             kj::ArrayPtr<const kj::byte> nonce, uint32_t block);

  // Section 2.5: 16 bytes to `tag`, over the concatenation of the parts, under a key that is used once.
  void authenticate(kj::byte* tag, kj::ArrayPtr<const kj::byte> key,
                    std::initializer_list<kj::ArrayPtr<const kj::byte>> parts);

 private:
  evp_cipher_ctx_st* stream;
  evp_mac_ctx_st* mac;
};

}  // namespace nexus
