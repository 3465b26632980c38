#include "daemons/initd/kernel-args.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <string>

namespace nexus {
namespace {

KernelArgs good(kj::StringPtr line) {
  auto parsed = parseKernelArgs(line);
  REQUIRE(parsed.is<KernelArgs>());
  return kj::mv(parsed.get<KernelArgs>());
}

std::string bad(kj::StringPtr line) {
  auto parsed = parseKernelArgs(line);
  REQUIRE(parsed.is<KernelArgsError>());
  return parsed.get<KernelArgsError>().message.cStr();
}

TEST_CASE("the words of the kernel and a line end are left alone") {
  auto args = good("console=ttyS0 quiet nexus.profile=qemu_test panic=-1  nexus.node=a intel_iommu=on\n");
  CHECK(args.profile == "qemu_test");
  CHECK(args.node == "a");
  CHECK((args.variant == nullptr));
  CHECK(args.dnsPort == 0);
  CHECK(args.tcpPort == 0);
  CHECK(args.scale == 100);
  CHECK((args.kill == nullptr));
  CHECK((args.once == nullptr));
  CHECK_FALSE(args.traffic);
}

TEST_CASE("every flag arrives") {
  auto args = good(
      "nexus.profile=os2vm nexus.node=b nexus.variant=wrong-key nexus.dns=1 nexus.tcp=65535 nexus.scale=10000 "
      "nexus.dma-probe=1 nexus.kill=virtionetd@500 nexus.once=samgrd nexus.traffic=1");
  CHECK(KJ_ASSERT_NONNULL(args.variant) == "wrong-key");
  CHECK(args.dnsPort == 1);
  CHECK(args.tcpPort == 65535);
  CHECK(args.scale == 10000);
  CHECK((args.dmaProbe == DmaProbe::ON));
  auto& kill = KJ_ASSERT_NONNULL(args.kill);
  CHECK(kill.service == "virtionetd");
  CHECK(kill.afterMs == 500);
  CHECK(KJ_ASSERT_NONNULL(args.once) == "samgrd");
  CHECK(args.traffic);
}

TEST_CASE("the DMA probe runs in qemu_test unless told otherwise, and elsewhere only when told") {
  CHECK((good("nexus.profile=qemu_test nexus.node=a").dmaProbe == DmaProbe::ON));
  CHECK((good("nexus.profile=qemu_test nexus.node=a nexus.dma-probe=0").dmaProbe == DmaProbe::OFF));
  CHECK((good("nexus.profile=os2vm nexus.node=a").dmaProbe == DmaProbe::OFF));
  CHECK((good("nexus.dma-probe=unconfined nexus.profile=qemu_test nexus.node=a").dmaProbe == DmaProbe::UNCONFINED));
}

TEST_CASE("a missing profile or node is named") {
  CHECK(bad("nexus.node=a") == "kernel command line: nexus.profile=NAME is missing");
  CHECK(bad("nexus.profile=os2vm") == "kernel command line: nexus.node=NAME is missing");
}

TEST_CASE("a name cannot leave its folder") {
  for (auto value : {"../x", "a/b", "", ".", "A", "a.b", "x123456789012345678901234567890123"}) {
    CAPTURE(value);
    CHECK(parseKernelArgs(kj::str("nexus.node=a nexus.profile=", value)).is<KernelArgsError>());
  }
}

TEST_CASE(
    "an unknown flag, a flag without a value and a number out of its range are errors that say what may stand there") {
  kj::StringPtr base = "nexus.profile=os2vm nexus.node=a ";
  CHECK(bad(kj::str(base, "nexus.dnss=1")) ==
        "kernel command line: nexus.dnss=1: expected one of the known flags: profile node variant dns tcp scale "
        "dma-probe kill once traffic");
  CHECK(bad(kj::str(base, "nexus.=1")).find("known flags") != std::string::npos);
  CHECK(bad(kj::str(base, "nexus.")).find("known flags") != std::string::npos);
  CHECK(bad(kj::str(base, "nexus.dns")) == "kernel command line: nexus.dns: expected a number from 1 to 65535");
  for (auto word : {"nexus.dns=0", "nexus.tcp=65536", "nexus.tcp=-1", "nexus.tcp=1x", "nexus.tcp=99999999999999999999",
                    "nexus.scale=9", "nexus.scale=10001", "nexus.dma-probe=yes", "nexus.kill=x", "nexus.kill=@5",
                    "nexus.kill=x@", "nexus.once=", "nexus.once=../x", "nexus.traffic=", "nexus.traffic=2",
                    "nexus.kill=x@600001", "nexus.kill=../x@5"}) {
    CAPTURE(word);
    CHECK(parseKernelArgs(kj::str(base, word)).is<KernelArgsError>());
  }
}

}  // namespace
}  // namespace nexus
