#pragma once
// What the links of a node share, and the times and bounds of each: values and references, made once by whoever makes
// the bus. Knows nothing of how a link works.
#include "daemons/dsoftbusd/bus/bus-observer.h"
#include "daemons/dsoftbusd/bus/dial-plan.h"
#include "daemons/dsoftbusd/bus/second-dial.h"
#include "daemons/dsoftbusd/policy/audit-log.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-export.h"
#include "daemons/dsoftbusd/session/session.h"
#include "daemons/dsoftbusd/trust/identity.h"

namespace nexus {

struct LinkLimits {
  DialTimes dial{};
  kj::Duration connectTimeout = 10 * kj::SECONDS;  // for the transport to reach an address, before another is tried
  kj::Duration probeTimeout = 2 * kj::SECONDS;     // for the old session to answer when the peer connects again
  DoubtTimes doubt{};                              // of a session whose peer announces itself
  SessionLimits session{};
  RecordLimits records{};
};

// What all links of a node share; outlives them.
struct LinkContext {
  const DeviceIdentity& own;
  kj::Timer& timer;
  Entropy& entropy;
  RemoteProxy& proxy;
  AuditLog& audit;
  BusObserver& observer;
  LinkLimits limits{};
  kj::Maybe<RpcExporter&> exporter{};  // null: this node offers nothing
};

}  // namespace nexus
