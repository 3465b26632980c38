#include "libs/nexus-net-os/stack/tcp-orphans.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"

namespace nexus {

// An orphan's callback argument is not a pointer but the time of its last progress, in milliseconds.
struct TcpOrphans::Callbacks {
  static void* stamp() { return reinterpret_cast<void*>(static_cast<uintptr_t>(sys_now())); }
  static uint32_t idleMs(const tcp_pcb& pcb) {
    return sys_now() - static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pcb.callback_arg));
  }

  static err_t received(void*, tcp_pcb* pcb, pbuf* p, err_t) {
    if (p == nullptr) {  // the peer has finished too
      tcp_recv(pcb, nullptr);
      tcp_poll(pcb, nullptr, 0);
      return tcp_close(pcb);
    }
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
  }

  static err_t sent(void*, tcp_pcb* pcb, u16_t) {
    tcp_arg(pcb, stamp());
    return ERR_OK;
  }

  // Every second: our side may be done while the peer's is not. lwIP bounds FIN-WAIT-2 only once it is closed for
  // reading too.
  static err_t poll(void*, tcp_pcb* pcb) {
    if (pcb->state == FIN_WAIT_2) {
      tcp_poll(pcb, nullptr, 0);
      tcp_recv(pcb, nullptr);
      return tcp_close(pcb);
    }
    if (idleMs(*pcb) > MAX_IDLE_MS) {
      tcp_abort(pcb);
      return ERR_ABRT;
    }
    return ERR_OK;
  }

  static bool isOrphan(const tcp_pcb& pcb) { return pcb.poll == &Callbacks::poll; }
};

size_t TcpOrphans::count() {
  size_t n = 0;
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) n += Callbacks::isOrphan(*pcb);
  return n;
}

void TcpOrphans::adopt(tcp_pcb* pcb, bool peerFinished) {
  tcp_err(pcb, nullptr);
  tcp_sent(pcb, nullptr);
  tcp_recv(pcb, nullptr);
  tcp_poll(pcb, nullptr, 0);
  tcp_arg(pcb, nullptr);
  if (pcb->state < ESTABLISHED) {
    tcp_abort(pcb);
    return;
  }
  if (peerFinished) {
    // lwIP sends the rest and the FIN by itself; without memory for the FIN it tries again.
    tcp_close(pcb);
    return;
  }
  if (limit == 0 || count() >= limit) {
    tcp_pcb* oldest = nullptr;
    for (tcp_pcb* other = tcp_active_pcbs; other != nullptr; other = other->next) {
      if (!Callbacks::isOrphan(*other)) continue;
      if (oldest == nullptr || Callbacks::idleMs(*other) > Callbacks::idleMs(*oldest)) oldest = other;
    }
    ++counters.tcpOrphansAborted;
    tcp_abort(oldest == nullptr ? pcb : oldest);
    if (oldest == nullptr) return;
  }
  tcp_arg(pcb, Callbacks::stamp());
  tcp_recv(pcb, &Callbacks::received);
  tcp_sent(pcb, &Callbacks::sent);
  tcp_poll(pcb, &Callbacks::poll, 1000 / TCP_SLOW_INTERVAL);
  tcp_shutdown(pcb, 0, 1);
}

}  // namespace nexus
