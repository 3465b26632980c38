#include "libs/nexus-net-os/stack/tcp-isn.h"

#include <kj/debug.h>
#include <sodium.h>

namespace nexus {

static_assert(crypto_shorthash_KEYBYTES == 16);

TcpIsn::TcpIsn(Entropy& entropy) {
  entropy.fill(secret);
}

TcpIsn::~TcpIsn() {
  sodium_memzero(secret, sizeof(secret));
}

uint32_t TcpIsn::next(kj::ArrayPtr<const kj::byte> local, uint16_t localPort, kj::ArrayPtr<const kj::byte> remote,
                      uint16_t remotePort, uint64_t nowUs) const {
  KJ_REQUIRE(local.size() == remote.size() && local.size() <= 16);
  kj::byte input[16 + 16 + 4];
  size_t length = 0;
  for (auto address : {local, remote}) {
    memcpy(input + length, address.begin(), address.size());
    length += address.size();
  }
  for (uint16_t port : {localPort, remotePort}) {
    input[length++] = port >> 8;
    input[length++] = port & 255;
  }
  // SipHash-2-4, RFC 6528's F().
  kj::byte hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, input, length, secret);
  uint32_t f;
  memcpy(&f, hash, sizeof(f));
  return static_cast<uint32_t>(nowUs / 4) + f;
}

}  // namespace nexus
