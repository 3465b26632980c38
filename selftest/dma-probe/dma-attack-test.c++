#include "selftest/dma-probe/dma-attack.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <algorithm>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "libs/nexus-net-os/virtio/fake-transport.h"
#include "libs/nexus-net-os/virtio/test-memory.h"

namespace nexus {
namespace {

constexpr uint64_t OWN_AT = 0x100000, SECRET_AT = 0x700000, TARGET_AT = 0x701000;
constexpr MacAddress GATEWAY_MAC{{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};

class FakeCanary final : public Canary {
 public:
  explicit FakeCanary(const AttackPlan& plan) : secret(Virtq::PAGE, SECRET_AT), target(Virtq::PAGE, TARGET_AT) {
    auto frame = secretFrame(plan);
    std::copy(frame.begin(), frame.end(), secret.span().bytes().begin());
    memset(target.span().bytes().begin(), PATTERN, Virtq::PAGE);
  }

  uint64_t secretAddress() override { return SECRET_AT; }
  uint64_t targetAddress() override { return TARGET_AT; }
  uint32_t changedBytes() override {
    auto bytes = target.span().bytes();
    return std::count_if(bytes.begin(), bytes.end(), [](kj::byte b) { return b != PATTERN; });
  }

  TestMemory secret, target;
};

// A device on a link with a gateway that answers ARP in order, and an IOMMU that can be left out.
struct Fixture {
  static constexpr size_t PAGES = 3 + 4;

  AttackPlan plan;
  SimClock clock;
  DmaMap dma;
  FakeTransport device{dma};
  TestMemory own{PAGES * Virtq::PAGE, OWN_AT};
  FakeCanary canary{plan};
  kj::Vector<DmaSpan> pages;
  bool gatewayAnswers = true;
  kj::Own<InterruptSource> interrupt = device.receiveInterrupt.source();

  explicit Fixture(bool iommu) {
    for (size_t i = 0; i < PAGES; i++) pages.add(own.span().slice(i * Virtq::PAGE, (i + 1) * Virtq::PAGE));
    for (auto& page : pages) dma.map(page);
    dma.absorbFaults(Virtq::PAGE);
    if (!iommu) {
      dma.map(canary.secret.span());
      dma.map(canary.target.span());
    }
  }

  AttackOutcome run() {
    ProbeNic::Pages layout{pages[0], pages[1], pages[2], pages.asPtr().slice(3, PAGES)};
    auto promise = attack(device, *interrupt, layout, canary, clock.timer, plan);
    while (!promise.poll(clock.waitScope)) {
      if (serveGateway()) continue;
      clock.timer.advanceTo(KJ_ASSERT_NONNULL(clock.timer.nextEvent(), "nobody waits for anything"));
    }
    return promise.wait(clock.waitScope);
  }

  bool serveGateway() {
    bool busy = false;
    for (auto& frame : device.collect()) {
      busy = true;
      KJ_IF_MAYBE (arp, ArpPacket::tryParse(frame)) {
        if (!gatewayAnswers || arp->operation != ArpPacket::REQUEST || arp->targetIp != plan.gateway) continue;
        device.deliver(ArpPacket{.operation = ArpPacket::REPLY,
                                 .senderMac = GATEWAY_MAC,
                                 .senderIp = plan.gateway,
                                 .targetMac = arp->senderMac,
                                 .targetIp = arp->senderIp}
                           .encode());
      }
    }
    return busy;
  }
};

TEST_CASE("behind an IOMMU nothing leaks and nothing changes, although the device tried both") {
  Fixture f(true);
  auto outcome = f.run();
  CHECK(outcome.isolated());
  CHECK(f.dma.faultCount() == 2);
  CHECK(outcome.reason() == "");
}

TEST_CASE("without one, both attacks succeed and are told apart") {
  Fixture f(false);
  f.plan.confined = false;
  f.device.traits.features &= ~virtio::feature::ACCESS_PLATFORM;
  auto outcome = f.run();
  CHECK(outcome.leaked);
  CHECK(outcome.corrupted);
  CHECK(outcome.changedBytes > ArpPacket::SIZE);
  CHECK_FALSE(outcome.isolated());
  CHECK(strstr(outcome.reason().cStr(), "leaked") != nullptr);
  CHECK(strstr(outcome.reason().cStr(), "corrupted") != nullptr);
}

TEST_CASE("an IOMMU with a hole for reading leaks, one with a hole for writing corrupts") {
  SUBCASE("reading") {
    Fixture f(true);
    f.dma.map(f.canary.secret.span());
    auto outcome = f.run();
    CHECK(outcome.leaked);
    CHECK_FALSE(outcome.corrupted);
  }
  SUBCASE("writing") {
    Fixture f(true);
    f.dma.map(f.canary.target.span());
    auto outcome = f.run();
    CHECK_FALSE(outcome.leaked);
    CHECK(outcome.corrupted);
  }
}

TEST_CASE("where no gateway answers nothing is proven, and that takes a bounded time") {
  Fixture f(true);
  f.gatewayAnswers = false;
  auto before = f.clock.timer.now();
  auto outcome = f.run();
  CHECK_FALSE(outcome.isolated());
  CHECK(strstr(KJ_ASSERT_NONNULL(outcome.unproven).cStr(), "no gateway answered") != nullptr);
  CHECK(f.clock.timer.now() - before <= AttackPlan::ANSWER_TIME + 1 * kj::SECONDS);
}

TEST_CASE("a device that must be confined and is not is refused") {
  Fixture f(false);
  f.device.traits.features &= ~virtio::feature::ACCESS_PLATFORM;
  CHECK_THROWS((void)f.run());
}

TEST_CASE("the secret frame is a whole question that nobody else asks") {
  AttackPlan plan;
  auto arp = KJ_ASSERT_NONNULL(ArpPacket::tryParse(secretFrame(plan)));
  CHECK(arp.operation == ArpPacket::REQUEST);
  CHECK(arp.targetIp == plan.gateway);
  CHECK(arp.senderIp == plan.secret);
  CHECK(arp.senderIp != plan.own);
}

}  // namespace
}  // namespace nexus
