#pragma once
// lwIP's functions without an argument for "which stack" (the clock, randomness, hooks, memory) and the one global
// pointer behind them. LwipStack is the host; nothing else sets it.
#include <cstddef>
#include <cstdint>

struct tcp_pcb;
struct tcp_hdr;

namespace nexus {

// What lwIP asks of its surroundings.
class LwipHost {
 public:
  // Milliseconds, from anywhere.
  virtual uint32_t nowMs() noexcept = 0;
  virtual uint32_t random() noexcept = 0;

  // RFC 6528. Addresses in network order, 4 or 16 bytes.
  virtual uint32_t tcpIsn(const uint8_t* local, uint16_t localPort, const uint8_t* remote, uint16_t remotePort,
                          size_t addressLength) noexcept = 0;

  // Whether lwIP may process a segment that matched `pcb`; header fields are in host order.
  virtual bool tcpSegment(::tcp_pcb& pcb, const ::tcp_hdr& header, uint32_t payloadLength) noexcept = 0;

  // lwIP's heap; null when there is no memory or its limit is reached.
  virtual void* heapAllocate(size_t bytes) noexcept = 0;
  virtual void heapRelease(void* memory) noexcept = 0;
};

// Makes `host` the one that lwIP talks to. FAILED while there is another.
void setLwipHost(LwipHost& host);
void clearLwipHost(LwipHost& host);

}  // namespace nexus
