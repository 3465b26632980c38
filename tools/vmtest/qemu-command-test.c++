#include "tools/vmtest/qemu-command.h"

#include <doctest/doctest.h>

namespace nexus::vmtest {
namespace {

GuestSpec spec() {
  return GuestSpec{"qemu"_kj, Accel::TCG, 192, "/k"_kj, "/i"_kj, "os2vm"_kj, 1, "52:54:00:12:34:0b"_kj,
                   true,      5,          6,   7,       8,       nullptr};
}

// The argument behind `name`, the nth time.
kj::String after(const kj::Vector<kj::String>& args, kj::StringPtr name, kj::uint nth = 0) {
  for (size_t i = 0; i + 1 < args.size(); i++) {
    if (args[i] == name && nth-- == 0) return kj::str(args[i + 1]);
  }
  return kj::str("absent");
}

TEST_CASE("the machine has a modern NIC behind a remapping IOMMU and nothing else") {
  auto args = qemuCommand(spec());
  CHECK(args[0] == "qemu");
  CHECK(after(args, "-machine") == "q35");
  CHECK(after(args, "-device", 0) == "intel-iommu,intremap=on,caching-mode=on");
  CHECK(after(args, "-device", 1) ==
        "virtio-net-pci,netdev=n0,disable-legacy=on,iommu_platform=on,mac=52:54:00:12:34:0b");
  CHECK(after(args, "-device", 2) == "absent");
  CHECK(after(args, "-m") == "192");
  CHECK(after(args, "-accel") == "tcg,thread=multi");
}

TEST_CASE("console, status, link and capture go over the descriptors that were given") {
  auto args = qemuCommand(spec());
  CHECK(after(args, "-chardev", 0) == "socket,id=console,fd=5");
  CHECK(after(args, "-serial", 0) == "chardev:console");
  CHECK(after(args, "-chardev", 1) == "socket,id=status,fd=6");
  CHECK(after(args, "-serial", 1) == "chardev:status");
  CHECK(after(args, "-netdev") == "dgram,id=n0,local.type=fd,local.str=7");
  CHECK(after(args, "-object") == "filter-dump,id=dump0,netdev=n0,file=/dev/fd/8");
}

TEST_CASE("a single guest is on the user network, and without capture nothing is dumped") {
  auto single = spec();
  single.linkFd = nullptr;
  single.captureFd = nullptr;
  single.node = 0;
  auto args = qemuCommand(single);
  CHECK(after(args, "-netdev") == "user,id=n0");
  CHECK(after(args, "-object") == "absent");
  CHECK(after(args, "-name") == "nexus-net-a");
}

TEST_CASE("KVM gets the split interrupt controller that remapping needs") {
  auto kvm = spec();
  kvm.accel = Accel::KVM;
  CHECK(after(qemuCommand(kvm), "-machine") == "q35,kernel-irqchip=split");
  CHECK(after(qemuCommand(kvm), "-accel") == "kvm");
}

TEST_CASE("the kernel command line names profile and node and takes further flags") {
  auto flagged = spec();
  kj::String flags[] = {kj::str("nexus.dns=5353"), kj::str("nexus.scale=400")};
  flagged.guestFlags = flags;
  flagged.iommuPlatform = false;
  auto args = qemuCommand(flagged);
  CHECK(after(args, "-append") ==
        "console=ttyS0 panic=-1 no_timer_check quiet loglevel=4 intel_iommu=on nexus.profile=os2vm nexus.node=b "
        "nexus.dns=5353 "
        "nexus.scale=400");
  CHECK(after(args, "-device", 1).startsWith("virtio-net-pci,netdev=n0,disable-legacy=on,iommu_platform=off"));
}

TEST_CASE("a quoted command can be pasted into a shell") {
  kj::String args[] = {kj::str("qemu"), kj::str("a b"), kj::str("it's"), kj::str(""), kj::str("/dev/fd/8,x=1")};
  CHECK(shellQuoted(args) == "qemu 'a b' 'it'\\''s' '' /dev/fd/8,x=1");
}

}  // namespace
}  // namespace nexus::vmtest
