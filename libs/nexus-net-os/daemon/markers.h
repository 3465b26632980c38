#pragma once
// The marker lines as constants (marker-table.h), and the one way to print one. A marker is printed only after its
// behaviour, with no time, random value or counter in its fixed part. Owned by nobody; writes to standard output.
#include <kj/string.h>

namespace nexus {

struct Marker {
  kj::StringPtr text;
  kj::StringPtr owner;
  kj::StringPtr proves;
};

namespace marker {
#define NEXUS_MARKER(constant, text, owner, proves) \
  inline constexpr Marker constant{text##_kj, owner##_kj, proves##_kj};
#include "libs/nexus-net-os/daemon/marker-table.h"
#undef NEXUS_MARKER
}  // namespace marker

// Writes "<text><detail>\n" to standard output in one write, so that lines of several processes on one console stay
// whole.
void emitMarker(const Marker& marker, kj::StringPtr detail = nullptr);

}  // namespace nexus
