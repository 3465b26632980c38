#include "libs/nexus-net-os/stack/input-hook.h"

#include "libs/nexus-net-os/stack/accept-queue.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

namespace nexus {
namespace {

bool isHalfOpen(const tcp_pcb& pcb) {
  return pcb.state == SYN_RCVD;
}

// The half-open connection that has waited longest, of one listener or (null) of all.
tcp_pcb* oldestHalfOpen(const tcp_pcb_listen* listener) {
  tcp_pcb* oldest = nullptr;
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (!isHalfOpen(*pcb) || (listener != nullptr && pcb->listener != listener)) continue;
    // Among equals the later in the list: new ones are put in front.
    if (oldest == nullptr || tcp_ticks - pcb->tmr >= tcp_ticks - oldest->tmr) oldest = pcb;
  }
  return oldest;
}

AcceptQueue* acceptQueueOf(const tcp_pcb_listen* listener) {
  return listener == nullptr ? nullptr : static_cast<AcceptQueue*>(listener->callback_arg);
}

}  // namespace

size_t InputHook::halfOpen() {
  size_t count = 0;
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) count += isHalfOpen(*pcb);
  return count;
}

bool InputHook::allow(tcp_pcb& pcb, const tcp_hdr& header, uint32_t payloadLength, uint64_t nowNs) {
  if (pcb.state == LISTEN) return allowListener(pcb, header);
  matchedConnection = true;
  switch (pcb.state) {
    case SYN_SENT:
    case TIME_WAIT:
      return true;
    case SYN_RCVD: {
      // The last ACK of a handshake waits with its peer while the accept queue is full.
      auto* queue = acceptQueueOf(pcb.listener);
      if (queue != nullptr && queue->full() && !(TCPH_FLAGS(&header) & TCP_RST)) {
        ++counters.tcpAcceptOverflow;
        return false;
      }
      return true;
    }
    default:
      return allowSynchronised(pcb, header, payloadLength, nowNs);
  }
}

bool InputHook::allowListener(tcp_pcb& pcb, const tcp_hdr& header) {
  auto& listener = reinterpret_cast<tcp_pcb_listen&>(pcb);
  if ((TCPH_FLAGS(&header) & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) return true;
  auto* queue = acceptQueueOf(&listener);
  if (queue != nullptr && queue->full()) {
    ++counters.tcpAcceptOverflow;
    return false;
  }
  // Whoever answers at all answers soon: the one that has waited longest is the least likely to.
  bool listenerFull = listener.accepts_pending >= listener.backlog;
  if (listenerFull || halfOpen() >= MAX_HALF_OPEN) {
    if (tcp_pcb* oldest = oldestHalfOpen(listenerFull ? &listener : nullptr)) {
      ++counters.tcpHalfOpenEvicted;
      tcp_abandon(oldest, 0);  // silently: the address may be forged
    }
  }
  return true;
}

bool InputHook::allowSynchronised(tcp_pcb& pcb, const tcp_hdr& header, uint32_t payloadLength, uint64_t nowNs) {
  uint8_t flags = TCPH_FLAGS(&header);
  auto challenge = [&]() {
    if (limiter.allowChallengeAck(nowNs)) {
      tcp_ack_now(&pcb);
      tcp_output(&pcb);
    }
    return false;
  };

  if (flags & TCP_RST) {
    // lwIP resets on the exact number and answers one in the window with a challenge ACK: let that pass the limit.
    bool exact = header.seqno == pcb.rcv_nxt;
    bool inWindow = TCP_SEQ_BETWEEN(header.seqno, pcb.rcv_nxt, pcb.rcv_nxt + pcb.rcv_wnd);
    return exact || (inWindow && limiter.allowChallengeAck(nowNs));
  }
  if (flags & TCP_SYN) return challenge();  // RFC 5961, 4.2
  if (!(flags & TCP_ACK)) {
    ++counters.tcpDataWithoutAck;
    return false;
  }
  // RFC 5961, 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. What is queued for retransmission was sent before:
  // snd_lbb, not snd_nxt, is the end of what the peer can have seen only if all of it was sent, so the larger of what
  // was really sent counts.
  if (!TCP_SEQ_BETWEEN(header.ackno, pcb.lastack - pcb.snd_wnd_max, pcb.snd_nxt)) {
    ++counters.tcpBadAck;
    return challenge();
  }
  // RFC 5681, 4.2: data that fills a hole is acknowledged at once.
  if (payloadLength > 0 && pcb.ooseq != nullptr && TCP_SEQ_LEQ(header.seqno, pcb.rcv_nxt)) tcp_ack_now(&pcb);
  return true;
}

}  // namespace nexus
