#pragma once
// What the servers of this daemon stand on: the stack, where leases come from, and the counters. One per daemon, shared
// by all clients. The stack must outlive every call that is served; what merely waits to be dropped may outlive it.
// Knows nothing of clients.
#include <kj/async-io.h>
#include <kj/refcount.h>

#include "daemons/netstackd/client-quota.h"
#include "libs/nexus-net-os/stack/dhcp-client.h"
#include "libs/nexus-net-os/stack/lwip-stack.h"

namespace nexus {

// Values that only grow; gauges end in Now. In the daemon's status their names begin with "net.".
#define NEXUS_NET_COUNTERS(X)                               \
  X(clients)    /* connections and minted sockets served */ \
  X(clientsNow) /* gauge */                                 \
  X(denied)     /* policy said no */                        \
  X(connects)   /* connectTcp calls that policy allowed */  \
  X(connected)  /* of them, those that ended in a socket */ \
  X(listeners)  /* listeners made */                        \
  X(accepted)   /* connections handed to a client */        \
  X(udpSockets) /* UDP sockets made */                      \
  X(pings)      /* echo requests sent for clients */        \
  X(minted)     /* sockets minted */                        \
  X(streams)    /* openStream calls served */               \
  X(streamsNow) /* gauge */                                 \
  X(streamBytesToNetwork)                                   \
  X(streamBytesFromNetwork)                                 \
  X(streamLingerExpired) /* closed, untaken, reset */       \
  X(pendingRefused)      /* calls refused because too many waited already */

struct NetCounters {
#define NEXUS_FIELD(name) uint64_t name = 0;
  NEXUS_NET_COUNTERS(NEXUS_FIELD)
#undef NEXUS_FIELD

  // Calls fn("name", value) for each, in the order above.
  template <typename Fn>
  void forEach(Fn&& fn) const {
#define NEXUS_FIELD(name) fn(#name, name);
    NEXUS_NET_COUNTERS(NEXUS_FIELD)
#undef NEXUS_FIELD
  }
};

class NetNode final : public kj::Refcounted {
 public:
  static constexpr size_t STREAM_BUFFER = 128 << 10;  // bytes

  // Without `lowLevel` there are no descriptors to hand out: openStream and mint are UNIMPLEMENTED.
  NetNode(LwipStack& stack, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel, NetLimits limits = {})
      : stack(stack), lowLevel(lowLevel), limits(limits) {}

  LwipStack& stack;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  const NetLimits limits;  // of each client

  kj::Maybe<DhcpClient&> dhcp;  // once the node gets its address that way
  // Where bytes of any stream are for the moment between two calls; never across one that waits.
  kj::Array<kj::byte> streamBuffer = kj::heapArray<kj::byte>(STREAM_BUFFER);

  NetCounters counters;
  ClientQuota::Counters quotaCounters;
};

}  // namespace nexus
