#pragma once
/* What lwIP calls of ours. Included by lwIP's sources (LWIP_HOOK_FILENAME); implemented in stack/lwip-globals. */
#include "lwip/err.h"
#include "lwip/ip_addr.h"
#include "lwip/pbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tcp_pcb;
struct tcp_hdr;

/* The initial sequence number of a connection (RFC 6528). */
u32_t nexus_lwip_tcp_isn(const ip_addr_t* local, u16_t localPort, const ip_addr_t* remote, u16_t remotePort);

/* A segment that matched a pcb, before lwIP looks at it: ERR_OK lets it through. */
err_t nexus_lwip_tcp_segment(struct tcp_pcb* pcb, struct tcp_hdr* header, u16_t optionLength, u16_t option1Length,
                             u8_t* option2, struct pbuf* p);

#ifdef __cplusplus
}
#endif

#define LWIP_HOOK_TCP_ISN(local, localPort, remote, remotePort) nexus_lwip_tcp_isn(local, localPort, remote, remotePort)
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, optionLength, option1Length, option2, p) \
  nexus_lwip_tcp_segment(pcb, header, optionLength, option1Length, option2, p)
