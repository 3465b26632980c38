#pragma once
// The status channel of a guest: a second serial port (/dev/ttyS1 in the guest, a socket in the harness) that carries
// what the markers on the console claim a second time, so that the two can be compared. One message per line, LF at its
// end (CR LF is taken too):
//
//   kernel RELEASE                      once, first
//   step NAME ok [DETAIL]               NAME = stepName(marker): "net-iface" for "SELFTEST: net iface ok"
//   step NAME FAIL DETAIL
//   service NAME start
//   service NAME exit STATUS            "exit 3" or "signal 9"
//   traffic CALLS FAILED BYTES BREAKS   sums since the traffic began, twice a second while there is traffic
//   chaos N armed                       the time of event N is taken: it is zero now
//   chaos N call MS                     calls are whole again, so long after zero on the guest's monotonic clock
//   chaos N stream MS                   the same of streams
//   exit N                              0 to 255; 0 only when every step was ok; the last line
//
// What goes the other way is in status-command.h. Pure: text to value and back. It knows no descriptor; the guest's end
// must put its terminal into raw mode (no echo) first.
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

#include "libs/nexus-net-os/daemon/markers.h"

namespace nexus {

// No line is longer, without its end. encodeStatus() cuts a detail that would not fit; parseStatus() refuses.
constexpr size_t STATUS_LINE_MAX = 256;
// RELEASE and NAME: 1 to this many characters out of [A-Za-z0-9._+~-].
constexpr size_t STATUS_NAME_MAX = 64;

struct StatusKernel {
  kj::String release;  // uname -r
};

struct StatusStep {
  kj::String name;
  bool ok;
  kj::String detail;  // for a person; may be empty when ok
};

struct StatusServiceStart {
  kj::String name;
};

struct StatusServiceExit {
  kj::String name;
  kj::String status;  // as Supervisor.Service.lastExit: "exit 3", "signal 9"
};

struct StatusExit {
  kj::byte code;
};

// What the selftest's traffic with the peer has done so far.
struct StatusTraffic {
  uint64_t calls, failed;  // that this node made: answered as they should be, or not
  uint64_t streamed;       // bytes that came back over a stream as they went
  uint64_t breaks;         // streams that ended although nobody closed them
};

// How the traffic came through one event that the harness brought about.
struct StatusChaos {
  enum class What : kj::byte { ARMED, CALL, STREAM };
  uint32_t event;
  What what;
  uint32_t ms;  // since ARMED; 0 for ARMED
};

using StatusMessage =
    kj::OneOf<StatusKernel, StatusStep, StatusServiceStart, StatusServiceExit, StatusExit, StatusTraffic, StatusChaos>;

// The line without its end. Bytes of a detail outside printable ASCII become '?', so no text can make a second line. A
// name outside the alphabet above is the caller's fault.
kj::String encodeStatus(const StatusMessage& message);

// Reads one line without its LF. Null when it is not exactly one of the forms above: unknown words, missing or extra
// fields, control characters, too long.
kj::Maybe<StatusMessage> parseStatus(kj::ArrayPtr<const char> line);

// "SELFTEST: net iface ok" is step "net-iface". Null for markers that are no step's result (no "SELFTEST: " before, no
// " ok" behind).
kj::Maybe<kj::String> stepName(kj::StringPtr markerText);

}  // namespace nexus
