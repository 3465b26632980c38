#pragma once
// The DSoftBus and PeerSession capabilities: what a local program sees of the bus. Served by dsoftbusd to whoever was
// given its socket. Holds references to the bus, which must outlive it; a PeerSession keeps its session object and
// fails as DISCONNECTED once that has ended.
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/discovery/discovery.h"
#include "daemons/dsoftbusd/resume/client-places.h"
#include "daemons/dsoftbusd/server/policy-explain.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// At most this many peers() and session() calls of one client may wait; one more is OVERLOADED.
constexpr kj::uint MAX_WAITING_CALLS = 64;

// The longest text of a question to explain(), bytes.
constexpr size_t MAX_QUESTION_TEXT = 256;

// For one client. policy: what the proxy of this node decides by, as it is at that moment; asked for each question
// anew. totals: what all clients hold, which bounds this one too.
idl::DSoftBus::Client newDSoftBusServer(Bus& bus, Discovery& discovery, AuditLog& audit, kj::Timer& timer,
                                        kj::Function<PolicyTable()> policy,
                                        kj::Own<ClientTotals> totals = kj::refcounted<ClientTotals>());

}  // namespace nexus
