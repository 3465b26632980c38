#include "libs/nexus-net-os/vfio/vfio-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "libs/nexus-net-os/vfio/pci-binding.h"

namespace nexus {

namespace {

// Room for the capabilities behind vfio_iommu_type1_info: the ranges of every machine known fit many times over.
constexpr size_t INFO_BYTES = 4096;

VfioKernel::Errno errnoOf(int result) {
  return result < 0 ? errno : 0;
}

kj::OneOf<kj::AutoCloseFd, VfioKernel::Errno> fdOrErrno(int fd) {
  if (fd < 0) return errno;
  return kj::AutoCloseFd(fd);
}

class SystemVfioKernel final : public VfioKernel {
 public:
  kj::Maybe<kj::String> groupOf(kj::StringPtr pciAddress) override {
    return sysfs->linkName(kj::str("/sys/bus/pci/devices/", pciAddress, "/iommu_group"));
  }

  kj::Array<kj::String> groupMembers(kj::StringPtr group) override {
    return sysfs->list(kj::str("/sys/kernel/iommu_groups/", group, "/devices"));
  }

  kj::OneOf<kj::AutoCloseFd, Errno> openContainer() override {
    return fdOrErrno(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
  }

  kj::OneOf<kj::AutoCloseFd, Errno> openGroup(kj::StringPtr group) override {
    return fdOrErrno(::open(kj::str("/dev/vfio/", group).cStr(), O_RDWR | O_CLOEXEC));
  }

  bool supportsType1v2(int container) override {
    return ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION &&
           ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1;
  }

  bool groupViable(int group) override {
    vfio_group_status status{};
    status.argsz = sizeof(status);
    KJ_SYSCALL(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
    return status.flags & VFIO_GROUP_FLAGS_VIABLE;
  }

  Errno setContainer(int group, int container) override {
    return errnoOf(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
  }

  Errno setIommu(int container) override { return errnoOf(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)); }

  kj::OneOf<kj::AutoCloseFd, Errno> openDevice(int group, kj::StringPtr pciAddress) override {
    return fdOrErrno(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, pciAddress.cStr()));
  }

  kj::Array<IovaRange> iovaRanges(int container) override;

  Errno mapDma(int container, kj::ArrayPtr<kj::byte> memory, uint64_t iova) override {
    vfio_iommu_type1_dma_map map{};
    map.argsz = sizeof(map);
    map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    map.vaddr = reinterpret_cast<uint64_t>(memory.begin());
    map.iova = iova;
    map.size = memory.size();
    return errnoOf(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
  }

  VfioRegion region(int device, kj::uint index) override {
    vfio_region_info info{};
    info.argsz = sizeof(info);
    info.index = index;
    KJ_SYSCALL(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info), index);
    return {info.offset, info.size, (info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0};
  }

  void readAt(int device, uint64_t offset, kj::ArrayPtr<kj::byte> out) override {
    ssize_t n;
    KJ_SYSCALL(n = pread(device, out.begin(), out.size(), offset), offset);
    KJ_REQUIRE(n == static_cast<ssize_t>(out.size()), "the device's registers end early", offset, n);
  }

  void writeAt(int device, uint64_t offset, kj::ArrayPtr<const kj::byte> in) override {
    ssize_t n;
    KJ_SYSCALL(n = pwrite(device, in.begin(), in.size(), offset), offset);
    KJ_REQUIRE(n == static_cast<ssize_t>(in.size()), "the device's registers end early", offset, n);
  }

  kj::uint msixVectors(int device) override {
    vfio_irq_info info{};
    info.argsz = sizeof(info);
    info.index = VFIO_PCI_MSIX_IRQ_INDEX;
    KJ_SYSCALL(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info));
    return info.count;
  }

  Errno setMsixEvents(int device, kj::ArrayPtr<const int> events) override {
    auto bytes = kj::heapArray<uint64_t>((sizeof(vfio_irq_set) + events.size() * sizeof(int32_t) + 7) / 8);
    auto& set = *reinterpret_cast<vfio_irq_set*>(bytes.begin());
    set.argsz = sizeof(vfio_irq_set) + events.size() * sizeof(int32_t);
    set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set.index = VFIO_PCI_MSIX_IRQ_INDEX;
    set.start = 0;
    set.count = events.size();
    std::copy(events.begin(), events.end(), reinterpret_cast<int32_t*>(set.data));
    return errnoOf(ioctl(device, VFIO_DEVICE_SET_IRQS, &set));
  }

 private:
  kj::Own<Sysfs> sysfs = newSystemSysfs();
};

kj::Array<IovaRange> SystemVfioKernel::iovaRanges(int container) {
  auto words = kj::heapArray<uint64_t>(INFO_BYTES / sizeof(uint64_t));
  auto bytes = words.asBytes();
  auto& info = *reinterpret_cast<vfio_iommu_type1_info*>(bytes.begin());
  memset(bytes.begin(), 0, bytes.size());
  info.argsz = bytes.size();
  KJ_SYSCALL(ioctl(container, VFIO_IOMMU_GET_INFO, &info));
  KJ_REQUIRE(info.argsz <= bytes.size(), "the IOMMU has more capabilities than expected", info.argsz);

  kj::Vector<IovaRange> ranges;
  uint32_t next = (info.flags & VFIO_IOMMU_INFO_CAPS) ? info.cap_offset : 0;
  while (next != 0 && next + sizeof(vfio_info_cap_header) <= bytes.size()) {
    auto& header = *reinterpret_cast<vfio_info_cap_header*>(bytes.begin() + next);
    if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
      auto& list = *reinterpret_cast<vfio_iommu_type1_info_cap_iova_range*>(&header);
      for (uint32_t i = 0; i < list.nr_iovas; i++)
        ranges.add(IovaRange{list.iova_ranges[i].start, list.iova_ranges[i].end});
    }
    next = header.next;
  }
  KJ_REQUIRE(!ranges.empty(), "the kernel does not say which DMA addresses are usable: Linux 5.4 or later is needed");
  return ranges.releaseAsArray();
}

}  // namespace

kj::Own<VfioKernel> newSystemVfioKernel() {
  return kj::heap<SystemVfioKernel>();
}

}  // namespace nexus
