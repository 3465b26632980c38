#pragma once
// The previous key of a trust entry (config.capnp, Trust.previous*): who it was and until when it is still accepted.
// The configuration says that in wall-clock time; here, once, when it is loaded, it becomes a time of the daemon's own
// clock, so that nothing that happens to the wall clock afterwards makes a grace longer. Pure.
#include <kj/one-of.h>

#include "daemons/dsoftbusd/trust/trust-table.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/base/utc.h"

namespace nexus {

// The moment at which a configuration is loaded, by both clocks.
struct LoadTime {
  kj::Date wall;
  kj::TimePoint timer;
};

// Null when the entry has no previous key, or its grace is over; or what is wrong, without the entry's name.
kj::OneOf<kj::Maybe<PreviousIdentity>, kj::String> checkPrevious(config::Dsoftbusd::Trust::Reader entry,
                                                                 const LoadTime& now);

}  // namespace nexus
