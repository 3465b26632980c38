#pragma once
// The ladders: which markers a run must show, on which node, in which phase, within which time. Tables only; the marker
// strings come from the marker table (daemon/marker-table.h), so a daemon that prints and a harness that waits cannot
// drift apart.
#include <kj/time.h>

#include "libs/nexus-net-os/daemon/markers.h"

namespace nexus::vmtest {

enum class Phase : kj::byte {
  BUILD,
  LAUNCH,
  NETWORK,
  SERVICES,
  BUS,
  DISCOVERY,
  SESSION,
  MUX,
  ISOLATION,
  RESTART,
  REMOTE,
  DENY,
  PERF,  // no rungs: the durations of the phases before
  SOAK,
  CHAOS,
  END
};

kj::StringPtr phaseName(Phase phase);

// Where the evidence of a rung comes from.
enum class Source : kj::byte {
  CONSOLE,        // a console line that begins with the marker
  CONSOLE_FAIL,   // the FAIL line of that marker's step, on the console and on the status channel: for a control run
                  // only
  KERNEL_REPORT,  // "kernel RELEASE" on the status channel
  EXIT_REPORT,    // "exit 0" on the status channel
};

enum class Need : kj::byte {
  REQUIRED,
  INFO,       // shown and reported, never waited for
  FORBIDDEN,  // its presence fails the run
};

struct Rung {
  Phase phase;
  kj::byte node;  // 0 = A, 1 = B
  Need need;
  const Marker* marker;
  kj::StringPtr rest = ""_kj;           // what must follow the marker's fixed part, such as " 10.42.0.10"
  const Marker* alternative = nullptr;  // another marker that satisfies this rung, with a warning
  Source source = Source::CONSOLE;

  kj::String text() const;  // for a person
};

// A line carries a marker when it begins with it and the marker ends there: no letter, digit or '-' follows.
bool carriesMarker(kj::StringPtr line, kj::StringPtr markerText);
bool satisfies(const Rung& rung, kj::StringPtr line);
// A line "SELFTEST: <anything> FAIL<end or space>".
bool isFailLine(kj::StringPtr line);
// The FAIL line of the step that `marker` reports: "SELFTEST: x FAIL" for "SELFTEST: x ok".
kj::String failText(const Marker& marker);

struct PhaseBudget {
  Phase phase;
  kj::Duration budget;  // with hardware virtualisation; TCG multiplies
};

// An exit of a service that the profile brings about itself.
struct ExpectedExit {
  kj::StringPtr service;
  kj::StringPtr status;
  kj::uint times;
};

struct Profile {
  kj::StringPtr name;          // "qemu_test", "os2vm", "dma_isolation_control"
  kj::StringPtr guestProfile;  // nexus.profile= of the guest
  kj::StringPtr codePrefix;    // of failure codes: "OS2VM_E_"
  kj::uint nodes;
  kj::ArrayPtr<const PhaseBudget> phases;  // in order; the last one ends the run
  kj::ArrayPtr<const Rung> rungs;          // in the order a person reads them
  kj::ArrayPtr<const ExpectedExit> expectedExits;
  kj::Duration progressLimit;  // without any new rung
  kj::Duration totalLimit;     // from launch
  bool checksExit;             // the run ends with both channels agreeing on success
  bool iommuPlatform;          // the device is behind the IOMMU
  kj::StringPtr guestWord;     // of the kernel command line; may be empty
  kj::StringPtr about;
  kj::Duration poweroffLimit = 5 * kj::SECONDS;  // for a guest that was asked to

  kj::Maybe<const PhaseBudget&> find(Phase phase) const;
  kj::Maybe<Phase> phaseByName(kj::StringPtr name) const;
};

const Profile& qemuTestProfile();
const Profile& dmaIsolationControlProfile();
const Profile& os2vmProfile();

// How much longer everything may take without hardware virtualisation.
constexpr kj::uint TCG_FACTOR = 4;

constexpr kj::StringPtr NODE_NAMES[2] = {"A"_kj, "B"_kj};
constexpr kj::StringPtr NODE_MACS[2] = {"52:54:00:12:34:0a"_kj, "52:54:00:12:34:0b"_kj};

}  // namespace nexus::vmtest
