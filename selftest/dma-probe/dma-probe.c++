#include "selftest/dma-probe/dma-probe.h"

#include <kj/async-io.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/vfio/eventfd-interrupt.h"
#include "libs/nexus-net-os/vfio/pci-binding.h"
#include "libs/nexus-net-os/vfio/vfio-session.h"
#include "selftest/dma-probe/canary.h"
#include "selftest/dma-probe/dma-attack.h"
#include "selftest/dma-probe/physical-page.h"

namespace nexus {

namespace {

constexpr kj::uint VECTORS = 3;
constexpr kj::uint RECEIVE_VECTOR = 1;
constexpr size_t RECEIVE_PAGES = 8;

kj::String findDevice(Sysfs& sysfs, kj::StringPtr wanted) {
  if (wanted.size() > 0) return kj::str(wanted);
  auto nics = findVirtioNics(sysfs);
  KJ_REQUIRE(nics.size() > 0, "there is no virtio network device on the PCI bus");
  return kj::str(nics[0].address);
}

// The probe's own pages, reachable by the device at the address where they really lie.
class IdentityMapped {
 public:
  IdentityMapped(VfioKernel& kernel, VfioSession& session) {
    for (size_t i = 0; i < 3 + RECEIVE_PAGES; i++) {
      auto& page = pages.add();
      mapForDevice(kernel, session, page.bytes(), page.address());
      spans.add(DmaSpan(page.bytes(), page.address()));
    }
  }

  ProbeNic::Pages layout() { return {spans[0], spans[1], spans[2], spans.asPtr().slice(3, spans.size())}; }

 private:
  kj::Vector<PhysicalPage> pages;
  kj::Vector<DmaSpan> spans;
};

AttackOutcome run(const DmaProbeOptions& options) {
  AttackPlan plan;
  CanaryProcess canary(secretFrame(plan));

  auto io = kj::setupAsyncIo();
  auto sysfs = newSystemSysfs();
  auto address = findDevice(*sysfs, options.pciAddress);
  bindToVfio(*sysfs, address);
  auto kernel = newSystemVfioKernel();
  auto session = openVfioSession(*kernel, address);
  enablePciAccess(*kernel, session, false);
  PciTransport transport(*newVfioPciFunction(*kernel, session));
  if (options.allowUnconfined) {
    plan.confined = transport.deviceFeatures() & virtio::feature::ACCESS_PLATFORM;
  } else {
    requireConfined(transport, address);
  }
  enablePciAccess(*kernel, session, true);

  IdentityMapped memory(*kernel, session);
  auto events = armMsix(*kernel, session, VECTORS);
  EventFdInterrupt receiveInterrupt(io.unixEventPort, kj::mv(events[RECEIVE_VECTOR]));
  return attack(transport, receiveInterrupt, memory.layout(), canary, io.provider->getTimer(), plan).wait(io.waitScope);
}

}  // namespace

kj::Maybe<kj::String> runDmaProbe(const DmaProbeOptions& options) {
  kj::Maybe<kj::String> verdict;
  auto failure = kj::runCatchingExceptions([&]() {
    auto outcome = run(options);
    if (!outcome.isolated()) verdict = outcome.reason();
  });
  KJ_IF_MAYBE (e, failure) return kj::str(e->getDescription());
  return verdict;
}

}  // namespace nexus
