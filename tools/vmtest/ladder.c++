#include "tools/vmtest/ladder.h"

#include <kj/debug.h>

namespace nexus::vmtest {

namespace {

constexpr kj::byte A = 0, B = 1;
constexpr auto SEC = kj::SECONDS;

// Not console markers: what the status channel must say first and last.
constexpr Marker KERNEL_REPORT{"initd reports its kernel"_kj, "initd"_kj, "PID 1 runs and the status channel works"_kj};
constexpr Marker EXIT_REPORT{"initd reports exit 0"_kj, "initd"_kj, "every step was ok, said on the status channel"_kj};

constexpr Rung launched(kj::byte node) {
  return {Phase::LAUNCH, node, Need::REQUIRED, &KERNEL_REPORT, ""_kj, nullptr, Source::KERNEL_REPORT};
}
constexpr Rung exited(kj::byte node) {
  return {Phase::END, node, Need::REQUIRED, &EXIT_REPORT, ""_kj, nullptr, Source::EXIT_REPORT};
}

constexpr Rung need(Phase phase, kj::byte node, const Marker& marker, kj::StringPtr rest = ""_kj) {
  return {phase, node, Need::REQUIRED, &marker, rest};
}
constexpr Rung info(Phase phase, kj::byte node, const Marker& marker) {
  return {phase, node, Need::INFO, &marker};
}
constexpr Rung forbid(Phase phase, kj::byte node, const Marker& marker) {
  return {phase, node, Need::FORBIDDEN, &marker};
}

// qemu_test ----------------------------------------

constexpr Rung QEMU_TEST_RUNGS[] = {
    launched(A),
    need(Phase::NETWORK, A, marker::NET_VIRTIO_UP),
    info(Phase::NETWORK, A, marker::NETSTACKD_READY),
    {Phase::NETWORK, A, Need::REQUIRED, &marker::NET_DHCP_BOUND, ""_kj, &marker::NET_DHCP_FALLBACK},
    need(Phase::NETWORK, A, marker::NET_LWIP_IFACE_UP, " 10.0.2.15"_kj),
    info(Phase::NETWORK, A, marker::NETSTACKD_FACADE_UP),
    need(Phase::NETWORK, A, marker::SELFTEST_NET_IFACE),
    need(Phase::NETWORK, A, marker::SELFTEST_NET_PING),
    need(Phase::NETWORK, A, marker::SELFTEST_NET_UDP_DNS),
    need(Phase::NETWORK, A, marker::SELFTEST_NET_TCP_LISTEN),
    need(Phase::NETWORK, A, marker::SELFTEST_ICMP_PING),
    info(Phase::SERVICES, A, marker::SAMGRD_READY),
    need(Phase::SERVICES, A, marker::SELFTEST_SAMGRD_REGISTER),
    need(Phase::SERVICES, A, marker::SELFTEST_SAMGRD_LOOKUP),
    need(Phase::SERVICES, A, marker::SELFTEST_SAMGRD_UNKNOWN),
    need(Phase::SERVICES, A, marker::SELFTEST_SAMGRD_MALFORMED),
    info(Phase::SERVICES, A, marker::BUNDLEMGRD_READY),
    info(Phase::SERVICES, A, marker::PACKAGEFSD_READY),
    info(Phase::SERVICES, A, marker::STATEFSD_READY),
    need(Phase::SERVICES, A, marker::SELFTEST_BUNDLEMGRD_LIST),
    need(Phase::SERVICES, A, marker::SELFTEST_BUNDLEMGRD_IMAGE),
    need(Phase::SERVICES, A, marker::SELFTEST_BUNDLEMGRD_MALFORMED),
    need(Phase::BUS, A, marker::BUS_TRANSPORT_UP),
    need(Phase::BUS, A, marker::BUS_DISCOVERY_LOOPBACK),
    need(Phase::BUS, A, marker::BUS_ANNOUNCE_SENT),
    need(Phase::BUS, A, marker::BUS_PEER_LOCAL),
    need(Phase::BUS, A, marker::BUS_SESSION_CONNECT_B),
    need(Phase::BUS, A, marker::BUS_IDENTITY_BOUND_B),
    need(Phase::BUS, A, marker::BUS_DUAL_NODE_SESSION),
    need(Phase::BUS, A, marker::BUS_READY),
    need(Phase::BUS, A, marker::BUS_AUTH_OK),
    need(Phase::BUS, A, marker::BUS_OS_SESSION_OK),
    need(Phase::BUS, A, marker::SELFTEST_BUS_CONNECT),
    need(Phase::BUS, A, marker::SELFTEST_BUS_PING),
    forbid(Phase::BUS, A, marker::BUS_CROSS_SESSION_A),
    forbid(Phase::BUS, A, marker::BUS_CROSS_SESSION_B),
    need(Phase::MUX, A, marker::BUS_MUX_UP),
    need(Phase::MUX, A, marker::BUS_MUX_DATA),
    need(Phase::MUX, A, marker::SELFTEST_MUX_PRI),
    need(Phase::MUX, A, marker::SELFTEST_MUX_BULK),
    need(Phase::MUX, A, marker::SELFTEST_MUX_BACKPRESSURE),
    forbid(Phase::MUX, A, marker::BUS_MUX_FAIL),
    need(Phase::ISOLATION, A, marker::SELFTEST_DMA_ISOLATION),
    need(Phase::RESTART, A, marker::SELFTEST_DRIVER_RESTART),
    need(Phase::END, A, marker::SELFTEST_END),
    exited(A),
};

constexpr PhaseBudget QEMU_TEST_PHASES[] = {
    {Phase::LAUNCH, 10 * SEC}, {Phase::NETWORK, 10 * SEC},  {Phase::SERVICES, 5 * SEC}, {Phase::BUS, 6 * SEC},
    {Phase::MUX, 10 * SEC},    {Phase::ISOLATION, 5 * SEC}, {Phase::RESTART, 10 * SEC}, {Phase::END, 5 * SEC},
};

// The driver restart step kills virtionetd once.
constexpr ExpectedExit QEMU_TEST_EXITS[] = {{"virtionetd"_kj, "signal 9"_kj, 1}};

// dma_isolation_control ----------------------------------------
// Not any failure: the attack itself must have succeeded, both ways.

constexpr Rung CONTROL_RUNGS[] = {
    launched(A),
    {Phase::ISOLATION, A, Need::REQUIRED, &marker::SELFTEST_DMA_ISOLATION,
     " (leaked: the device sent a page of another process, corrupted: the device wrote"_kj, nullptr,
     Source::CONSOLE_FAIL},
    forbid(Phase::ISOLATION, A, marker::SELFTEST_DMA_ISOLATION),
};

constexpr PhaseBudget CONTROL_PHASES[] = {{Phase::LAUNCH, 10 * SEC}, {Phase::ISOLATION, 30 * SEC}};

// os2vm ----------------------------------------

constexpr Rung OS2VM_RUNGS[] = {
    launched(A),
    launched(B),
    info(Phase::DISCOVERY, A, marker::NET_VIRTIO_UP),
    info(Phase::DISCOVERY, B, marker::NET_VIRTIO_UP),
    need(Phase::DISCOVERY, A, marker::NET_DHCP_FALLBACK, " 10.42.0.10/24)"_kj),
    need(Phase::DISCOVERY, B, marker::NET_DHCP_FALLBACK, " 10.42.0.11/24)"_kj),
    forbid(Phase::DISCOVERY, A, marker::NET_DHCP_BOUND),
    forbid(Phase::DISCOVERY, B, marker::NET_DHCP_BOUND),
    need(Phase::DISCOVERY, A, marker::NET_LWIP_IFACE_UP, " 10.42.0.10"_kj),
    need(Phase::DISCOVERY, B, marker::NET_LWIP_IFACE_UP, " 10.42.0.11"_kj),
    need(Phase::DISCOVERY, A, marker::BUS_DISCOVERY_UP),
    need(Phase::DISCOVERY, B, marker::BUS_DISCOVERY_UP),
    info(Phase::DISCOVERY, A, marker::BUS_ANNOUNCE_SENT),
    info(Phase::DISCOVERY, B, marker::BUS_ANNOUNCE_SENT),
    info(Phase::DISCOVERY, B, marker::PACKAGEFSD_READY),
    info(Phase::DISCOVERY, B, marker::STATEFSD_READY),
    info(Phase::SESSION, A, marker::BUS_PEER_LEARNED),
    info(Phase::SESSION, B, marker::BUS_PEER_LEARNED),
    need(Phase::SESSION, A, marker::BUS_CROSS_SESSION_B),
    need(Phase::SESSION, B, marker::BUS_CROSS_SESSION_A),
    need(Phase::MUX, A, marker::BUS_MUX_CROSSVM_UP),
    need(Phase::MUX, B, marker::BUS_MUX_CROSSVM_UP),
    need(Phase::MUX, A, marker::BUS_MUX_CROSSVM_DATA),
    need(Phase::MUX, B, marker::BUS_MUX_CROSSVM_DATA),
    need(Phase::MUX, A, marker::SELFTEST_MUX_CROSSVM_PRI),
    need(Phase::MUX, B, marker::SELFTEST_MUX_CROSSVM_PRI),
    need(Phase::MUX, A, marker::SELFTEST_MUX_CROSSVM_BULK),
    need(Phase::MUX, B, marker::SELFTEST_MUX_CROSSVM_BULK),
    need(Phase::MUX, A, marker::SELFTEST_MUX_CROSSVM_BACKPRESSURE),
    need(Phase::MUX, B, marker::SELFTEST_MUX_CROSSVM_BACKPRESSURE),
    forbid(Phase::MUX, A, marker::BUS_MUX_CROSSVM_FAIL),
    forbid(Phase::MUX, B, marker::BUS_MUX_CROSSVM_FAIL),
    info(Phase::REMOTE, B, marker::BUS_PROXY_UP),
    info(Phase::REMOTE, B, marker::BUS_PROXY_RX),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_RESOLVE),
    info(Phase::REMOTE, B, marker::BUS_PROXY_OK_SAMGRD),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_QUERY),
    info(Phase::REMOTE, B, marker::BUS_PROXY_OK_BUNDLEMGRD),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_STATEFS),
    need(Phase::REMOTE, B, marker::BUS_REMOTE_STATEFS),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_PKGFS_STAT),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_PKGFS_OPEN),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_PKGFS_READ_STEP),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_PKGFS_CLOSE),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_PKGFS_READ),
    need(Phase::REMOTE, A, marker::SELFTEST_REMOTE_RPC),
    need(Phase::REMOTE, B, marker::BUS_REMOTE_PACKAGEFS),
    need(Phase::DENY, A, marker::SELFTEST_REMOTE_DENIED),
    need(Phase::DENY, B, marker::BUS_DENIED_SERVICE),
    need(Phase::DENY, B, marker::BUS_DENIED_UNAUTHENTICATED),
    need(Phase::DENY, B, marker::SELFTEST_REMOTE_SEEN),
    need(Phase::SOAK, A, marker::SELFTEST_SOAK),
    need(Phase::SOAK, B, marker::SELFTEST_SOAK),
    need(Phase::CHAOS, A, marker::SELFTEST_CHAOS),
    need(Phase::CHAOS, B, marker::SELFTEST_CHAOS),
    need(Phase::END, A, marker::SELFTEST_END),
    need(Phase::END, B, marker::SELFTEST_END),
    exited(A),
    exited(B),
};

constexpr PhaseBudget OS2VM_PHASES[] = {
    {Phase::LAUNCH, 10 * SEC}, {Phase::DISCOVERY, 15 * SEC}, {Phase::SESSION, 5 * SEC}, {Phase::MUX, 10 * SEC},
    {Phase::REMOTE, 10 * SEC}, {Phase::DENY, 10 * SEC},      {Phase::PERF, 1 * SEC},    {Phase::SOAK, 15 * SEC},
    {Phase::CHAOS, 75 * SEC},  {Phase::END, 5 * SEC},
};

constexpr Profile QEMU_TEST{
    "qemu_test"_kj,
    "qemu_test"_kj,
    "QEMU_TEST_E_"_kj,
    1,
    kj::arrayPtr(QEMU_TEST_PHASES, kj::size(QEMU_TEST_PHASES)),
    kj::arrayPtr(QEMU_TEST_RUNGS, kj::size(QEMU_TEST_RUNGS)),
    kj::arrayPtr(QEMU_TEST_EXITS, kj::size(QEMU_TEST_EXITS)),
    10 * SEC,
    40 * SEC,
    true,
    true,
    ""_kj,
    "one guest on QEMU's user network: driver, TCP/IP, services, two nodes of the bus, DMA isolation, driver restart"_kj};

constexpr Profile CONTROL{
    "dma_isolation_control"_kj,
    "qemu_test"_kj,
    "QEMU_TEST_E_"_kj,
    1,
    kj::arrayPtr(CONTROL_PHASES, kj::size(CONTROL_PHASES)),
    kj::arrayPtr(CONTROL_RUNGS, kj::size(CONTROL_RUNGS)),
    nullptr,
    20 * SEC,
    40 * SEC,
    false,
    false,
    "nexus.dma-probe=unconfined"_kj,
    "the same guest without the IOMMU: the DMA isolation step must fail, or it detects nothing"_kj};

constexpr Profile OS2VM{"os2vm"_kj,
                        "os2vm"_kj,
                        "OS2VM_E_"_kj,
                        2,
                        kj::arrayPtr(OS2VM_PHASES, kj::size(OS2VM_PHASES)),
                        kj::arrayPtr(OS2VM_RUNGS, kj::size(OS2VM_RUNGS)),
                        nullptr,
                        10 * SEC,
                        120 * SEC,
                        true,
                        true,
                        ""_kj,
                        "two guests on one link: they find, authenticate, stream to and call each other, refuse what "
                        "no rule allows, keep it up, and "
                        "recover when daemons are killed and the link is cut"_kj};

bool continuesWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

kj::StringPtr phaseName(Phase phase) {
  switch (phase) {
    case Phase::BUILD:
      return "build"_kj;
    case Phase::LAUNCH:
      return "launch"_kj;
    case Phase::NETWORK:
      return "network"_kj;
    case Phase::SERVICES:
      return "services"_kj;
    case Phase::BUS:
      return "bus"_kj;
    case Phase::ISOLATION:
      return "isolation"_kj;
    case Phase::RESTART:
      return "restart"_kj;
    case Phase::DISCOVERY:
      return "discovery"_kj;
    case Phase::SESSION:
      return "session"_kj;
    case Phase::MUX:
      return "mux"_kj;
    case Phase::REMOTE:
      return "remote"_kj;
    case Phase::DENY:
      return "deny"_kj;
    case Phase::PERF:
      return "perf"_kj;
    case Phase::SOAK:
      return "soak"_kj;
    case Phase::CHAOS:
      return "chaos"_kj;
    case Phase::END:
      return "end"_kj;
  }
  KJ_UNREACHABLE;
}

bool carriesMarker(kj::StringPtr line, kj::StringPtr markerText) {
  if (!line.startsWith(markerText)) return false;
  return line.size() == markerText.size() || !continuesWord(line[markerText.size()]);
}

kj::String failText(const Marker& marker) {
  constexpr kj::StringPtr suffix = " ok"_kj;
  KJ_REQUIRE(marker.text.endsWith(suffix), "not the marker of a step", marker.text);
  return kj::str(marker.text.slice(0, marker.text.size() - suffix.size()), " FAIL");
}

bool isFailLine(kj::StringPtr line) {
  if (!line.startsWith("SELFTEST: ")) return false;
  constexpr kj::StringPtr word = " FAIL"_kj;
  for (size_t i = 0; i + word.size() <= line.size(); i++) {
    if (line.slice(i).startsWith(word) && (i + word.size() == line.size() || !continuesWord(line[i + word.size()])))
      return true;
  }
  return false;
}

bool satisfies(const Rung& rung, kj::StringPtr line) {
  switch (rung.source) {
    case Source::CONSOLE:
      return carriesMarker(line, kj::str(rung.marker->text, rung.rest));
    case Source::CONSOLE_FAIL:
      return carriesMarker(line, rung.text());
    case Source::KERNEL_REPORT:
    case Source::EXIT_REPORT:
      return false;
  }
  KJ_UNREACHABLE;
}

kj::String Rung::text() const {
  if (source == Source::CONSOLE_FAIL) return kj::str(failText(*marker), rest);
  return kj::str(marker->text, rest);
}

kj::Maybe<const PhaseBudget&> Profile::find(Phase phase) const {
  for (auto& p : phases) {
    if (p.phase == phase) return p;
  }
  return nullptr;
}

kj::Maybe<Phase> Profile::phaseByName(kj::StringPtr name) const {
  if (name == phaseName(Phase::BUILD)) return Phase::BUILD;
  for (auto& p : phases) {
    if (phaseName(p.phase) == name) return p.phase;
  }
  return nullptr;
}

const Profile& qemuTestProfile() {
  return QEMU_TEST;
}
const Profile& dmaIsolationControlProfile() {
  return CONTROL;
}
const Profile& os2vmProfile() {
  return OS2VM;
}

}  // namespace nexus::vmtest
