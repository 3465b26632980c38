#pragma once
// What phase chaos breaks, in which order, and how long the recovery from each may take: data. The order is always the
// same. Every daemon of every node is killed once; then the link is cut and healed.
#include <kj/array.h>
#include <kj/time.h>

#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

enum class ChaosMode : kj::byte {
  OFF,
  KILLS,  // no cuts
  SHORT,  // and a cut that the sessions survive
  LONG,   // and a cut longer than their keep-alive
};

struct ChaosEvent {
  enum class Kind : kj::byte { KILL, CUT };
  Kind kind;
  kj::byte node;          // of KILL
  kj::StringPtr service;  // of KILL
  kj::Duration cut;       // of CUT: how long
  kj::Duration budget;    // for the recovery, with hardware virtualisation

  kj::String text() const;  // "kill netstackd on A", "cut the link for 2.0 s"
  // A service that ends by itself when this one is killed; empty: none.
  kj::StringPtr companion() const;
};

// The daemons of a node, in the order in which they are killed.
kj::ArrayPtr<const kj::StringPtr> chaosServices();

kj::Array<ChaosEvent> chaosPlan(ChaosMode mode);

constexpr kj::Duration SHORT_CUT = 2 * kj::SECONDS;
// The sessions' keep-alive gives up after 9 s.
constexpr kj::Duration LONG_CUT = 11 * kj::SECONDS;

}  // namespace nexus::vmtest
