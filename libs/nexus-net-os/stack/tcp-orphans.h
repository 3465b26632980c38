#pragma once
// Connections whose owner is gone and that still have something to say: what was accepted is sent, FIN follows,
// whatever still arrives is read and thrown away, and then lwIP frees them. Bounded in number and in time without
// progress. Owned by LwipStack.
#include "libs/nexus-net-os/stack/stack-counters.h"

#include <cstddef>

struct tcp_pcb;

namespace nexus {

class TcpOrphans {
 public:
  // Aborted when the peer has acknowledged nothing for this long.
  static constexpr uint32_t MAX_IDLE_MS = 60'000;

  TcpOrphans(size_t limit, StackCounters& counters) : limit(limit), counters(counters) {}

  // Takes over a connection in any state but LISTEN, with its callbacks. `peerFinished`: its FIN has been received.
  void adopt(::tcp_pcb* pcb, bool peerFinished);

  static size_t count();

 private:
  size_t limit;
  StackCounters& counters;

  struct Callbacks;
};

}  // namespace nexus
