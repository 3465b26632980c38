#pragma once
// Binds a TCP pcb to a port, or to a random free one. Private to stack/.
#include "libs/nexus-net-os/stack/lwip-stack.h"
#include "lwip/tcp.h"

namespace nexus {

// False when the port is taken; port 0 tries random ones (RFC 6056, 3.3.1).
inline bool bindTcp(LwipStack& stack, tcp_pcb& pcb, const ip_addr_t& address, uint16_t port) {
  if (port != 0) return tcp_bind(&pcb, &address, port) == ERR_OK;
  for (int attempt = 0; attempt < 64; ++attempt) {
    if (tcp_bind(&pcb, &address, stack.randomPort()) == ERR_OK) return true;
  }
  return false;
}

}  // namespace nexus
