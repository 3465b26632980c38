#include "libs/nexus-net-os/stack/lwip-globals.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-hooks.h"
#include "lwip/opt.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

namespace nexus {
namespace {

// The one mutable global of the project: lwIP's callbacks carry no context. Set by LwipStack's constructor, cleared by
// its destructor.
LwipHost* currentHost = nullptr;

LwipHost& host() {
  KJ_ASSERT(currentHost != nullptr, "lwIP runs without a stack");
  return *currentHost;
}

}  // namespace

void setLwipHost(LwipHost& host) {
  KJ_REQUIRE(currentHost == nullptr, "there is already a network stack in this process");
  currentHost = &host;
}

void clearLwipHost(LwipHost& host) {
  KJ_ASSERT(currentHost == &host);
  currentHost = nullptr;
}

}  // namespace nexus

using nexus::host;

extern "C" {

u32_t sys_now(void) {
  return host().nowMs();
}

uint32_t nexus_lwip_random(void) {
  return host().random();
}

void nexus_lwip_assert_failed(const char* message, const char* file, int line) {
  KJ_LOG(FATAL, "lwIP's invariant is broken", message, file, line);
  abort();
}

void* nexus_lwip_malloc(size_t size) {
  return host().heapAllocate(size);
}

void* nexus_lwip_calloc(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) return nullptr;
  void* memory = nexus_lwip_malloc(total);
  if (memory != nullptr) memset(memory, 0, total);
  return memory;
}

void nexus_lwip_free(void* memory) {
  if (memory != nullptr) host().heapRelease(memory);
}

u32_t nexus_lwip_tcp_isn(const ip_addr_t* local, u16_t localPort, const ip_addr_t* remote, u16_t remotePort) {
  if (IP_IS_V6(local)) {
    return host().tcpIsn(reinterpret_cast<const uint8_t*>(ip_2_ip6(local)->addr), localPort,
                         reinterpret_cast<const uint8_t*>(ip_2_ip6(remote)->addr), remotePort, 16);
  }
  return host().tcpIsn(reinterpret_cast<const uint8_t*>(&ip_2_ip4(local)->addr), localPort,
                       reinterpret_cast<const uint8_t*>(&ip_2_ip4(remote)->addr), remotePort, 4);
}

err_t nexus_lwip_tcp_segment(struct tcp_pcb* pcb, struct tcp_hdr* header, u16_t, u16_t, u8_t*, struct pbuf* p) {
  return host().tcpSegment(*pcb, *header, p->tot_len) ? ERR_OK : ERR_VAL;
}

// lwIP's timer interface (LWIP_TIMERS_CUSTOM): stack/lwip-timers starts from a clean state, nothing else
// uses timeouts.
void sys_timeouts_init(void) {}
}
