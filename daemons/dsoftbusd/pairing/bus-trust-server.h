#pragma once
// The BusTrust and Pairing capabilities: whom this node trusts, and how a person changes it. Served by dsoftbusd to
// whoever was given its socket. Holds references to what it shows, which must outlive it.
#include "daemons/dsoftbusd/pairing/pairer.h"
#include "idl/bus-trust.capnp.h"

namespace nexus {

// At most this many calls of one Pairing may wait; one more is OVERLOADED.
constexpr kj::uint MAX_PAIRING_CALLS = 4;

idl::BusTrust::Client newBusTrustServer(const TrustTable& trust, TrustKeeper& keeper, Pairer& pairer, kj::Timer& timer);

}  // namespace nexus
