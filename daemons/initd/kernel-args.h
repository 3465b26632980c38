#pragma once
// What the kernel command line tells initd: "nexus.profile=os2vm nexus.node=a nexus.dns=15353". Words that do not begin
// with "nexus." are the kernel's and ignored. Pure: text to values; initd reads /proc/cmdline.
#include <kj/common.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// Whether the DMA probe tries to break out of the DMA buffers before the driver starts. UNCONFINED: also on a device
// that goes around the IOMMU, where it must succeed, which shows that the probe can see a failure.
enum class DmaProbe { OFF, ON, UNCONFINED };

struct KernelArgs {
  kj::String profile;             // "qemu_test", "os2vm": which services and configuration
  kj::String node;                // "a", "b"
  kj::Maybe<kj::String> variant;  // configuration files of /etc/nexus/PROFILE-NODE.VARIANT stand before the usual ones
  uint16_t dnsPort = 0;           // at the gateway; 0: none
  uint16_t tcpPort = 0;           // at the gateway; 0: none
  uint16_t scale = 100;           // percent of every deadline of the selftest, 10 to 10000
  DmaProbe dmaProbe = DmaProbe::OFF;  // "nexus.dma-probe=0|1|unconfined"; ON unless given in profile qemu_test

  struct Kill {
    kj::String service;
    uint32_t afterMs;  // after its first start
  };
  kj::Maybe<Kill> kill;        // a fault for tests: SIGKILL once; "nexus.kill=virtionetd@500"
  kj::Maybe<kj::String> once;  // a fault for tests: this service is not started again; "nexus.once=samgrd"
  bool traffic = false;        // "nexus.traffic=0|1": the selftest keeps traffic up until the harness orders the end
};

// What is wrong, for a person; it names the word and what may stand there.
struct KernelArgsError {
  kj::String message;
};

kj::OneOf<KernelArgs, KernelArgsError> parseKernelArgs(kj::StringPtr commandLine);

}  // namespace nexus
