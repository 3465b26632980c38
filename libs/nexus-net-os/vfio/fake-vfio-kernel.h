#pragma once
// VFIO without a kernel, for tests: one device in one group, its registers from a FakePci, every step recorded, every
// step able to fail. Owned by a test. The descriptors it hands out are real, so that their life can be watched, but
// lead nowhere.
#include <kj/debug.h>
#include <kj/vector.h>
#include <sys/eventfd.h>

#include "libs/nexus-net-os/vfio/vfio-kernel.h"
#include "libs/nexus-net-os/virtio/fake-pci.h"

namespace nexus {

class FakeVfioKernel final : public VfioKernel {
 public:
  explicit FakeVfioKernel(FakePci& pci) : pci(pci) {}

  // What goes wrong ----
  bool hasGroup = true;
  bool hasType1v2 = true;
  bool viable = true;
  Errno containerError = 0, groupError = 0, setContainerError = 0, setIommuError = 0, deviceError = 0, mapError = 0,
        msixError = 0;
  kj::uint vectors = 4;
  kj::Array<IovaRange> ranges = kj::heapArray<IovaRange>({{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}});

  // What happened ----
  struct Mapping {
    uint64_t iova, size;
  };
  kj::Vector<kj::String> steps;
  kj::Vector<Mapping> mappings;
  kj::Vector<int> events;
  int container = -1, group = -1, device = -1;  // the descriptors that were given out

  uint16_t command() const {
    uint16_t value;
    memcpy(&value, pci.config.data() + 4, sizeof(value));
    return value;
  }

  // implements VfioKernel ----
  kj::Maybe<kj::String> groupOf(kj::StringPtr) override {
    if (!hasGroup) return nullptr;
    return kj::str("7");
  }
  kj::Array<kj::String> groupMembers(kj::StringPtr) override {
    return kj::arr(kj::str("0000:00:01.0"), kj::str("0000:00:02.0"), kj::str("0000:00:03.0"));
  }
  kj::OneOf<kj::AutoCloseFd, Errno> openContainer() override { return give("container", containerError, container); }
  kj::OneOf<kj::AutoCloseFd, Errno> openGroup(kj::StringPtr) override { return give("group", groupError, group); }
  bool supportsType1v2(int) override { return hasType1v2; }
  bool groupViable(int) override { return viable; }
  Errno setContainer(int, int) override { return step("set-container", setContainerError); }
  Errno setIommu(int) override { return step("set-iommu", setIommuError); }
  kj::OneOf<kj::AutoCloseFd, Errno> openDevice(int, kj::StringPtr) override {
    return give("device", deviceError, device);
  }
  kj::Array<IovaRange> iovaRanges(int) override { return kj::heapArray(ranges.asPtr()); }
  Errno mapDma(int, kj::ArrayPtr<kj::byte> memory, uint64_t iova) override {
    mappings.add(Mapping{iova, memory.size()});
    return step("map-dma", mapError);
  }
  kj::uint msixVectors(int) override { return vectors; }
  Errno setMsixEvents(int, kj::ArrayPtr<const int> fds) override {
    events.addAll(fds);
    return step("set-irqs", msixError);
  }

  VfioRegion region(int, kj::uint index) override {
    if (index == CONFIG_REGION) return {uint64_t{index} << 40, pci.config.size(), false};
    if (index == FakePci::BAR) return {uint64_t{index} << 40, FakePci::BAR_SIZE, true};
    return {uint64_t{index} << 40, 0, false};
  }

  void readAt(int, uint64_t offset, kj::ArrayPtr<kj::byte> out) override {
    if (offset >> 40 == CONFIG_REGION) return pci.readConfig(offset & 0xffff, out);
    uint32_t value = pci.read(offset & 0xffff, out.size());
    memcpy(out.begin(), &value, out.size());
  }

  void writeAt(int, uint64_t offset, kj::ArrayPtr<const kj::byte> in) override {
    if (offset >> 40 == CONFIG_REGION) {
      memcpy(pci.config.data() + (offset & 0xffff), in.begin(), in.size());
      steps.add(kj::str("command ", command()));
      return;
    }
    uint32_t value = 0;
    memcpy(&value, in.begin(), in.size());
    pci.write(offset & 0xffff, in.size(), value);
  }

 private:
  FakePci& pci;

  Errno step(kj::StringPtr name, Errno error) {
    steps.add(kj::str(name));
    return error;
  }

  kj::OneOf<kj::AutoCloseFd, Errno> give(kj::StringPtr name, Errno error, int& record) {
    steps.add(kj::str(name));
    if (error != 0) return error;
    KJ_SYSCALL(record = eventfd(0, EFD_CLOEXEC));
    return kj::AutoCloseFd(record);
  }
};

}  // namespace nexus
