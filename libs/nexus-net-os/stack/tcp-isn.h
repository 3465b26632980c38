#pragma once
// Initial sequence numbers (RFC 6528): a 4 microsecond clock plus a keyed hash of the connection's addresses and ports,
// so that they grow for one pair of endpoints and tell nothing about another. The secret is drawn once, kept for the
// life of the stack, then wiped.
#include <kj/array.h>

#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

class TcpIsn {
 public:
  explicit TcpIsn(Entropy& entropy);
  ~TcpIsn();
  KJ_DISALLOW_COPY_AND_MOVE(TcpIsn);

  // Addresses in network order, both of one family; time in microseconds from anywhere.
  uint32_t next(kj::ArrayPtr<const kj::byte> local, uint16_t localPort, kj::ArrayPtr<const kj::byte> remote,
                uint16_t remotePort, uint64_t nowUs) const;

 private:
  kj::byte secret[16];  // crypto_shorthash_KEYBYTES
};

}  // namespace nexus
