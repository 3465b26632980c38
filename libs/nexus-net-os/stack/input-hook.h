#pragma once
// Looks at every TCP segment that matched a connection or a listener before lwIP does, and closes gaps of lwIP 2.2.1:
// segments without ACK (RFC 9293, 3.10.7.4), impossible and ancient ACKs (RFC 5961, 5.2), challenge ACKs without limit
// (RFC 5961, 7), an ACK delayed after a hole was filled (RFC 5681, 4.2), and half-open connections that block a
// listener. Owned by LwipStack.
#include "libs/nexus-net-os/stack/answer-limiter.h"

struct tcp_pcb;
struct tcp_hdr;

namespace nexus {

class InputHook {
 public:
  // Handshakes under way in the whole stack; beyond it the oldest gives way. Half of the connection blocks.
  static constexpr size_t MAX_HALF_OPEN = 512;

  InputHook(AnswerLimiter& limiter, StackCounters& counters) : limiter(limiter), counters(counters) {}

  // Before each frame; matched() then says whether it belonged to a connection.
  void beginFrame() { matchedConnection = false; }
  bool matched() const { return matchedConnection; }

  // Whether lwIP may process the segment. Header fields in host order. May abort other connections that are half-open,
  // never `pcb`.
  bool allow(::tcp_pcb& pcb, const ::tcp_hdr& header, uint32_t payloadLength, uint64_t nowNs);

  // Connections in SYN-RECEIVED now.
  static size_t halfOpen();

 private:
  AnswerLimiter& limiter;
  StackCounters& counters;
  bool matchedConnection = false;

  bool allowListener(::tcp_pcb& listener, const ::tcp_hdr& header);
  bool allowSynchronised(::tcp_pcb& pcb, const ::tcp_hdr& header, uint32_t payloadLength, uint64_t nowNs);
};

}  // namespace nexus
