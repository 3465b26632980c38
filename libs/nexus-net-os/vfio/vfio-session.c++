#include "libs/nexus-net-os/vfio/vfio-session.h"

#include <errno.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/eventfd.h>

#include "libs/nexus-net-os/vfio/pci-binding.h"

namespace nexus {

namespace {

constexpr uint16_t PCI_COMMAND = 0x04;
constexpr uint16_t PCI_COMMAND_MEMORY = 2;
constexpr uint16_t PCI_COMMAND_MASTER = 4;
constexpr uint64_t IOVA_ALIGNMENT = 2 * 1024 * 1024;

// The sentence and nothing else: it is meant for people.
[[noreturn]] void fail(kj::String reason) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::mv(reason)));
}

kj::AutoCloseFd openContainer(VfioKernel& kernel) {
  auto result = kernel.openContainer();
  if (result.is<kj::AutoCloseFd>()) return kj::mv(result.get<kj::AutoCloseFd>());
  auto error = result.get<VfioKernel::Errno>();
  if (error == ENOENT || error == ENODEV) {
    fail(kj::str("VFIO is not there (/dev/vfio/vfio): load the modules vfio, vfio_iommu_type1 and vfio-pci"));
  }
  fail(kj::str("cannot open /dev/vfio/vfio: ", strerror(error), "; run as root"));
}

kj::AutoCloseFd openGroup(VfioKernel& kernel, kj::StringPtr group, kj::StringPtr address) {
  auto result = kernel.openGroup(group);
  if (result.is<kj::AutoCloseFd>()) return kj::mv(result.get<kj::AutoCloseFd>());
  auto error = result.get<VfioKernel::Errno>();
  if (error == EBUSY) {
    kj::throwFatalException(KJ_EXCEPTION(
        OVERLOADED,
        kj::str("VFIO group ", group, " is still open in another process: wait until the former driver is gone")));
  }
  if (error == ENOENT) {
    fail(kj::str("VFIO group ", group, " has no device file (/dev/vfio/", group, "): bind ", address,
                 " to vfio-pci first"));
  }
  fail(kj::str("cannot open /dev/vfio/", group, ": ", strerror(error), "; run as root"));
}

void requireViable(VfioKernel& kernel, int group, kj::StringPtr name, kj::StringPtr address) {
  if (kernel.groupViable(group)) return;
  kj::Vector<kj::String> others;
  for (auto& member : kernel.groupMembers(name)) {
    if (member != address) others.add(kj::mv(member));
  }
  fail(kj::str(
      "VFIO group ", name, " is not viable: the other devices of the group (", kj::strArray(others, ", "),
      ") must be bound to vfio-pci too, or have no driver. For each: echo vfio-pci > "
      "/sys/bus/pci/devices/ADDRESS/driver_override; echo ADDRESS > /sys/bus/pci/devices/ADDRESS/driver/unbind; "
      "echo ADDRESS > /sys/bus/pci/drivers_probe"));
}

void attachIommu(VfioKernel& kernel, VfioSession& session) {
  if (auto error = kernel.setContainer(session.group, session.container)) {
    fail(kj::str("the VFIO group of ", session.pciAddress, " cannot join a container: ", strerror(error)));
  }
  auto error = kernel.setIommu(session.container);
  if (error == EPERM) {
    fail(
        kj::str("the IOMMU does not remap interrupts, so a device could forge them: in QEMU use -device "
                "intel-iommu,intremap=on; on hardware switch x2APIC and interrupt remapping on in the firmware"));
  }
  if (error != 0) fail(kj::str("the kernel gives no type 1 IOMMU for ", session.pciAddress, ": ", strerror(error)));
}

// The registers of one region by pread and pwrite.
class VfioRegisters final : public RegisterWindow {
 public:
  VfioRegisters(VfioKernel& kernel, int device, const VfioRegion& region)
      : kernel(kernel), device(device), region(region) {}

  uint64_t size() const override { return region.length; }
  uint8_t read8(uint64_t offset) override { return read<uint8_t>(offset); }
  uint16_t read16(uint64_t offset) override { return read<uint16_t>(offset); }
  uint32_t read32(uint64_t offset) override { return read<uint32_t>(offset); }
  void write8(uint64_t offset, uint8_t value) override { write(offset, value); }
  void write16(uint64_t offset, uint16_t value) override { write(offset, value); }
  void write32(uint64_t offset, uint32_t value) override { write(offset, value); }

 private:
  VfioKernel& kernel;
  int device;
  VfioRegion region;

  template <typename T>
  T read(uint64_t offset) {
    T value;
    kernel.readAt(device, region.offset + offset, kj::arrayPtr(reinterpret_cast<kj::byte*>(&value), sizeof(value)));
    return value;
  }

  template <typename T>
  void write(uint64_t offset, T value) {
    kernel.writeAt(device, region.offset + offset,
                   kj::arrayPtr(reinterpret_cast<const kj::byte*>(&value), sizeof(value)));
  }
};

class VfioPciFunction final : public PciFunction {
 public:
  VfioPciFunction(VfioKernel& kernel, VfioSession& session) : kernel(kernel), session(session) {}

  void readConfig(uint16_t offset, kj::ArrayPtr<kj::byte> out) override {
    auto config = kernel.region(session.device, VfioKernel::CONFIG_REGION);
    kernel.readAt(session.device, config.offset + offset, out);
  }

  kj::Maybe<kj::Own<RegisterWindow>> bar(uint8_t index) override {
    auto region = kernel.region(session.device, index);
    if (region.length == 0) return nullptr;
    return kj::Own<RegisterWindow>(kj::heap<VfioRegisters>(kernel, session.device, region));
  }

 private:
  VfioKernel& kernel;
  VfioSession& session;
};

}  // namespace

VfioSession openVfioSession(VfioKernel& kernel, kj::StringPtr pciAddress) {
  auto group = kernel.groupOf(pciAddress);
  KJ_IF_MAYBE (name, group) {
    VfioSession session{kj::str(pciAddress), openContainer(kernel), openGroup(kernel, *name, pciAddress),
                        kj::AutoCloseFd()};
    if (!kernel.supportsType1v2(session.container)) {
      fail(kj::str("this kernel's VFIO has no type1v2 IOMMU: load the module vfio_iommu_type1"));
    }
    requireViable(kernel, session.group, *name, pciAddress);
    attachIommu(kernel, session);
    auto device = kernel.openDevice(session.group, pciAddress);
    if (device.is<VfioKernel::Errno>()) {
      fail(kj::str("VFIO does not give the device ", pciAddress, ": ", strerror(device.get<VfioKernel::Errno>())));
    }
    session.device = kj::mv(device.get<kj::AutoCloseFd>());
    return session;
  }
  fail(noIommuGroup(pciAddress));
}

void enablePciAccess(VfioKernel& kernel, VfioSession& session, bool busMaster) {
  auto config = kernel.region(session.device, VfioKernel::CONFIG_REGION);
  uint16_t command = 0;
  auto bytes = kj::arrayPtr(reinterpret_cast<kj::byte*>(&command), sizeof(command));
  kernel.readAt(session.device, config.offset + PCI_COMMAND, bytes);
  command |= PCI_COMMAND_MEMORY;
  if (busMaster) command |= PCI_COMMAND_MASTER;
  kernel.writeAt(session.device, config.offset + PCI_COMMAND, bytes);
}

void mapForDevice(VfioKernel& kernel, VfioSession& session, kj::ArrayPtr<kj::byte> memory, uint64_t iova) {
  auto error = kernel.mapDma(session.container, memory, iova);
  if (error == ENOMEM) {
    fail(kj::str("the kernel may not lock ", memory.size(),
                 " bytes more for DMA: give the broker CAP_IPC_LOCK or raise its RLIMIT_MEMLOCK (ulimit -l)"));
  }
  if (error != 0)
    fail(kj::str("cannot map ", memory.size(), " bytes for DMA at ", kj::hex(iova), ": ", strerror(error)));
}

kj::Array<kj::AutoCloseFd> armMsix(VfioKernel& kernel, VfioSession& session, kj::uint vectors) {
  auto available = kernel.msixVectors(session.device);
  if (available < vectors) {
    fail(kj::str("the device ", session.pciAddress, " has ", available, " MSI-X vectors, ", vectors,
                 " are needed: in QEMU give it vectors=", vectors, " or more"));
  }
  auto events = kj::heapArrayBuilder<kj::AutoCloseFd>(vectors);
  auto numbers = kj::heapArrayBuilder<int>(vectors);
  for (kj::uint i = 0; i < vectors; i++) {
    int fd;
    KJ_SYSCALL(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    events.add(fd);
    numbers.add(fd);
  }
  if (auto error = kernel.setMsixEvents(session.device, numbers)) {
    fail(kj::str("the kernel does not connect the interrupts of ", session.pciAddress, ": ", strerror(error)));
  }
  return events.finish();
}

kj::Own<PciFunction> newVfioPciFunction(VfioKernel& kernel, VfioSession& session) {
  return kj::heap<VfioPciFunction>(kernel, session);
}

void requireConfined(VirtioTransport& transport, kj::StringPtr pciAddress) {
  if (transport.deviceFeatures() & virtio::feature::ACCESS_PLATFORM) return;
  fail(kj::str("the device ", pciAddress,
               " does not offer VIRTIO_F_ACCESS_PLATFORM: it would bypass the IOMMU and could read and write all "
               "memory. In QEMU "
               "give it iommu_platform=on"));
}

uint64_t IovaAllocator::take(uint64_t size) {
  for (auto& range : ranges) {
    uint64_t start = kj::max(next, (range.start + IOVA_ALIGNMENT - 1) / IOVA_ALIGNMENT * IOVA_ALIGNMENT);
    // The first test also catches a sum that wrapped.
    if (start < range.start || start > range.end || size - 1 > range.end - start) continue;
    next = (start + size + IOVA_ALIGNMENT - 1) / IOVA_ALIGNMENT * IOVA_ALIGNMENT;
    return start;
  }
  fail(kj::str("no room for ", size, " bytes among the DMA addresses that the IOMMU can map"));
}

}  // namespace nexus
