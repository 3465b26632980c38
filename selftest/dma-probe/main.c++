// Proves that a driver cannot reach memory outside its buffers: takes the network device through VFIO itself and
// attacks. Run as root before the driver starts. Every page of its own is mapped at its physical address, so that the
// same descriptors would work without any translation.
//
//   SELFTEST: dma isolation ok            exit 0
//   SELFTEST: dma isolation FAIL (why)    exit 1
//
// --allow-no-iommu runs the attacks on a device that goes around the IOMMU, too: there they must succeed.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "libs/nexus-net-os/daemon/markers.h"
#include "selftest/dma-probe/dma-probe.h"

int main(int argc, char* argv[]) {
  nexus::DmaProbeOptions options;
  CLI::App app("Proves that a driver cannot reach memory outside its buffers.", "dma-probe");
  app.add_flag("--allow-no-iommu", options.allowUnconfined,
               "attack a device without ACCESS_PLATFORM as well: the control");
  std::string address;
  app.add_option("--pci", address, "PCI address of the device; the first virtio network device if not given");
  CLI11_PARSE(app, argc, argv);
  options.pciAddress = address.c_str();

  auto result = nexus::runDmaProbe(options);
  KJ_IF_MAYBE (reason, result) {
    printf("SELFTEST: dma isolation FAIL (%s)\n", reason->cStr());
    return 1;
  }
  nexus::emitMarker(nexus::marker::SELFTEST_DMA_ISOLATION);
  return 0;
}
