#include "libs/nexus-net-os/stack/lwip-timers.h"

#include <kj/debug.h>

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

namespace nexus {
namespace {

template <typename Fn>
bool anyLink(Fn&& fn) {
  for (netif* link = netif_list; link != nullptr; link = link->next) {
    if (fn(*link)) return true;
  }
  return false;
}

// Whether a function of lwIP's table has something to wait for. Those that keep their state to themselves (reassembly,
// ARP and neighbour caches: one second each) always run.
bool needed(lwip_cyclic_timer_handler handler) {
  if (handler == tcp_tmr) return tcp_active_pcbs != nullptr || tcp_tw_pcbs != nullptr;
  if (handler == dns_tmr) return false;  // lwIP resolves no names here
  if (handler == dhcp_coarse_tmr) return anyLink([](netif& link) { return netif_dhcp_data(&link) != nullptr; });
  if (handler == dhcp_fine_tmr) {
    return anyLink([](netif& link) {
      auto* dhcp = netif_dhcp_data(&link);
      return dhcp != nullptr && dhcp->request_timeout > 0;
    });
  }
  if (handler == igmp_tmr) {
    return anyLink([](netif& link) {
      for (auto* group = netif_igmp_data(&link); group != nullptr; group = group->next) {
        if (group->timer > 0) return true;
      }
      return false;
    });
  }
  if (handler == mld6_tmr) {
    return anyLink([](netif& link) {
      for (auto* group = netif_mld6_data(&link); group != nullptr; group = group->next) {
        if (group->timer > 0) return true;
      }
      return false;
    });
  }
  return true;
}

}  // namespace

LwipTimers::LwipTimers(uint64_t nowMs) {
  KJ_ASSERT(lwip_num_cyclic_timers <= static_cast<int>(MAX));
  refresh(nowMs);
}

void LwipTimers::refresh(uint64_t nowMs) {
  for (int i = 0; i < lwip_num_cyclic_timers; ++i) {
    if (!entries[i].armed && needed(lwip_cyclic_timers[i].handler)) {
      entries[i] = {true, nowMs + lwip_cyclic_timers[i].interval_ms};
    }
  }
}

kj::Maybe<uint64_t> LwipTimers::next() const {
  kj::Maybe<uint64_t> earliest;
  for (auto& entry : entries) {
    if (entry.armed && entry.due < earliest.orDefault(UINT64_MAX)) earliest = entry.due;
  }
  return earliest;
}

// tcp_tmr() without its static counter, so that every stack begins alike.
void LwipTimers::runTcp() {
  tcp_fasttmr();
  slowTick = !slowTick;
  if (slowTick) tcp_slowtmr();
}

void LwipTimers::runDue(uint64_t nowMs) {
  for (int i = 0; i < lwip_num_cyclic_timers; ++i) {
    Entry& entry = entries[i];
    auto& timer = lwip_cyclic_timers[i];
    if (!entry.armed || entry.due > nowMs) continue;
    if (timer.handler == tcp_tmr) {
      runTcp();
    } else {
      timer.handler();
    }
    entry.due += timer.interval_ms;
    if (entry.due <= nowMs) entry.due = nowMs + timer.interval_ms;  // far behind: do not run a burst
    entry.armed = needed(timer.handler);
  }
  refresh(nowMs);
}

}  // namespace nexus
