#pragma once
// The status channel of a guest: a second serial port (/dev/ttyS1 in the guest, a socket in the harness) that carries
// what the markers on the console claim a second time, so that the two can be compared. One message per line, LF at its
// end (CR LF is taken too):
//
//   guest to harness    kernel RELEASE                      once, first
//                       step NAME ok [DETAIL]               NAME = stepName(marker): "net-iface" for "SELFTEST: net
//                       iface ok" step NAME FAIL DETAIL service NAME start service NAME exit STATUS            "exit 3"
//                       or "signal 9" exit N                              0 to 255; 0 only when every step was ok; the
//                       last line
//   harness to guest    poweroff
//
// Pure: text to value and back. It knows no descriptor; the guest's end must put its terminal into raw mode (no echo)
// first.
#include <kj/one-of.h>
#include <kj/string.h>

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

using StatusMessage = kj::OneOf<StatusKernel, StatusStep, StatusServiceStart, StatusServiceExit, StatusExit>;

// The line without its end. Bytes of a detail outside printable ASCII become '?', so no text can make a second line. A
// name outside the alphabet above is the caller's fault.
kj::String encodeStatus(const StatusMessage& message);

// Reads one line without its LF. Null when it is not exactly one of the forms above: unknown words, missing or extra
// fields, control characters, too long.
kj::Maybe<StatusMessage> parseStatus(kj::ArrayPtr<const char> line);

// "SELFTEST: net iface ok" is step "net-iface". Null for markers that are no step's result (no "SELFTEST: " before, no
// " ok" behind).
kj::Maybe<kj::String> stepName(kj::StringPtr markerText);

// The one command to a guest: stop every service and power off.
constexpr kj::StringPtr STATUS_POWEROFF = "poweroff"_kj;

}  // namespace nexus
