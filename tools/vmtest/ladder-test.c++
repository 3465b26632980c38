#include "tools/vmtest/ladder.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus::vmtest {
namespace {

TEST_CASE("a line carries a marker when it begins with it and the marker ends there") {
  CHECK(carriesMarker("net: virtio-net up", "net: virtio-net up"));
  CHECK(carriesMarker("net: virtio-net up (mtu=1500)", "net: virtio-net up"));
  CHECK(carriesMarker("net: dhcp bound 10.0.2.15/24", "net: dhcp bound"));
  CHECK(!carriesMarker("net: virtio-net upset", "net: virtio-net up"));
  CHECK(!carriesMarker("net: lwip iface up 10.42.0.101", "net: lwip iface up 10.42.0.10"));
  CHECK(!carriesMarker("log: net: virtio-net up", "net: virtio-net up"));
  CHECK(!carriesMarker("net: virtio-net", "net: virtio-net up"));
}

TEST_CASE("FAIL is a word of a selftest line, nothing less") {
  CHECK(isFailLine("SELFTEST: remote resolve FAIL"));
  CHECK(isFailLine("SELFTEST: net udp dns FAIL no answer"));
  CHECK(!isFailLine("SELFTEST: net iface ok"));
  CHECK(!isFailLine("SELFTEST: FAILURES none"));
  CHECK(!isFailLine("netstackd: FAIL"));
}

TEST_CASE("the FAIL line of a step is its marker with the other verdict") {
  CHECK(failText(marker::SELFTEST_DMA_ISOLATION) == "SELFTEST: dma isolation FAIL");
  CHECK_THROWS(failText(marker::SELFTEST_END));
}

const Profile* const ALL[] = {&qemuTestProfile(), &dmaIsolationControlProfile(), &os2vmProfile()};

TEST_CASE("every rung lies in a phase of its profile and on one of its nodes") {
  for (auto* profile : ALL) {
    for (auto& rung : profile->rungs) {
      CAPTURE(rung.text().cStr());
      CHECK(profile->find(rung.phase) != nullptr);
      CHECK(rung.node < profile->nodes);
    }
  }
}

TEST_CASE("every phase has a required rung on each node it waits for, and rungs stand in the order of phases") {
  for (auto* profile : ALL) {
    for (auto& phase : profile->phases) {
      bool required = phase.phase == Phase::PERF;  // it looks back only
      for (auto& rung : profile->rungs) required |= rung.phase == phase.phase && rung.need == Need::REQUIRED;
      CHECK(required);
    }
    for (size_t i = 1; i < profile->rungs.size(); i++) CHECK(profile->rungs[i - 1].phase <= profile->rungs[i].phase);
  }
}

TEST_CASE("no marker of a profile is the beginning of another one on the same node") {
  for (auto* profile : ALL) {
    for (auto& a : profile->rungs) {
      for (auto& b : profile->rungs) {
        if (&a == &b || a.node != b.node || a.source != b.source || a.need != b.need) continue;
        CAPTURE(a.text().cStr());
        CHECK(!carriesMarker(b.text(), a.text()));
      }
    }
  }
}

TEST_CASE("the phases of os2vm and of qemu_test are found by name") {
  CHECK(KJ_ASSERT_NONNULL(os2vmProfile().phaseByName("session")) == Phase::SESSION);
  CHECK(KJ_ASSERT_NONNULL(os2vmProfile().phaseByName("build")) == Phase::BUILD);
  CHECK(os2vmProfile().phaseByName("network") == nullptr);
  CHECK(KJ_ASSERT_NONNULL(qemuTestProfile().phaseByName("network")) == Phase::NETWORK);
}

TEST_CASE("the addresses and the exclusivity of the address markers are those of the contract") {
  auto& rungs = os2vmProfile().rungs;
  auto has = [&](kj::byte node, Need need, kj::StringPtr text) {
    for (auto& rung : rungs) {
      if (rung.node == node && rung.need == need && rung.text() == text) return true;
    }
    return false;
  };
  CHECK(has(0, Need::REQUIRED, "net: dhcp unavailable (fallback static 10.42.0.10/24)"));
  CHECK(has(1, Need::REQUIRED, "net: lwip iface up 10.42.0.11"));
  CHECK(has(1, Need::FORBIDDEN, "net: dhcp bound"));
  CHECK(has(1, Need::REQUIRED, "dsoftbusd: remote proxy denied (unauthenticated)"));
}

}  // namespace
}  // namespace nexus::vmtest
