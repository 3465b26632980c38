#include "libs/nexus-net-os/vfio/pci-binding.h"

#include <dirent.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "libs/nexus-net-os/virtio/virtio-types.h"

namespace nexus {

namespace {

constexpr size_t ATTRIBUTE_BYTES = 4096;  // a sysfs attribute is at most a page

class SystemSysfs final : public Sysfs {
 public:
  kj::Maybe<kj::String> read(kj::StringPtr path) override {
    int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
    if (raw < 0) return nullptr;
    kj::AutoCloseFd fd(raw);
    char text[ATTRIBUTE_BYTES];
    ssize_t n;
    KJ_SYSCALL(n = ::read(fd, text, sizeof(text)), path);
    if (n > 0 && text[n - 1] == '\n') n--;
    return kj::heapString(text, n);
  }

  void write(kj::StringPtr path, kj::StringPtr text) override {
    int raw;
    KJ_SYSCALL(raw = open(path.cStr(), O_WRONLY | O_CLOEXEC), path);
    kj::AutoCloseFd fd(raw);
    ssize_t n;
    KJ_SYSCALL(n = ::write(fd, text.begin(), text.size()), path, text);
  }

  kj::Maybe<kj::String> linkName(kj::StringPtr path) override {
    char target[PATH_MAX];
    ssize_t n = readlink(path.cStr(), target, sizeof(target));
    if (n < 0) return nullptr;
    auto text = kj::heapString(target, n);
    KJ_IF_MAYBE (slash, text.findLast('/')) return kj::str(text.slice(*slash + 1));
    return kj::mv(text);
  }

  kj::Array<kj::String> list(kj::StringPtr path) override {
    kj::Vector<kj::String> names;
    auto* folder = opendir(path.cStr());
    if (folder == nullptr) return nullptr;
    KJ_DEFER(closedir(folder));
    while (auto* entry = readdir(folder)) {
      if (entry->d_name[0] != '.') names.add(kj::str(entry->d_name));
    }
    std::sort(names.begin(), names.end());
    return names.releaseAsArray();
  }
};

constexpr kj::StringPtr DEVICES = "/sys/bus/pci/devices"_kj;
constexpr kj::StringPtr VFIO_PCI = "vfio-pci"_kj;

// "0x1af4"
bool isNumber(const kj::Maybe<kj::String>& text, uint16_t value) {
  KJ_IF_MAYBE (t, text) {
    KJ_IF_MAYBE (number, t->tryParseAs<uint16_t>()) return *number == value;
  }
  return false;
}

// The sentence and nothing else: it is meant for people.
[[noreturn]] void fail(kj::String reason) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::mv(reason)));
}

kj::String attribute(kj::StringPtr address, kj::StringPtr name) {
  return kj::str(DEVICES, "/", address, "/", name);
}

}  // namespace

kj::Own<Sysfs> newSystemSysfs() {
  return kj::heap<SystemSysfs>();
}

kj::Array<PciNic> findVirtioNics(Sysfs& sysfs) {
  kj::Vector<PciNic> found;
  for (auto& address : sysfs.list(DEVICES)) {
    if (!isNumber(sysfs.read(attribute(address, "vendor")), virtio::PCI_VENDOR)) continue;
    auto device = sysfs.read(attribute(address, "device"));
    if (!isNumber(device, virtio::PCI_DEVICE_NET_MODERN) && !isNumber(device, virtio::PCI_DEVICE_NET_TRANSITIONAL))
      continue;
    found.add(PciNic{kj::str(address), sysfs.linkName(attribute(address, "driver")),
                     sysfs.linkName(attribute(address, "iommu_group"))});
  }
  return found.releaseAsArray();
}

void bindToVfio(Sysfs& sysfs, kj::StringPtr address) {
  if (sysfs.read(attribute(address, "vendor")) == nullptr) fail(kj::str("there is no PCI device ", address));
  if (sysfs.linkName(attribute(address, "iommu_group")) == nullptr) fail(noIommuGroup(address));

  auto driver = sysfs.linkName(attribute(address, "driver"));
  KJ_IF_MAYBE (d, driver) {
    if (*d == VFIO_PCI) return;
  }
  // Named first, so that nothing else takes the device when it is let go.
  sysfs.write(attribute(address, "driver_override"), VFIO_PCI);
  if (driver != nullptr) sysfs.write(attribute(address, "driver/unbind"), address);
  sysfs.write("/sys/bus/pci/drivers_probe"_kj, address);

  auto now = sysfs.linkName(attribute(address, "driver"));
  if (now.map([](kj::String& name) { return name == VFIO_PCI; }).orDefault(false)) return;
  fail(kj::str("vfio-pci did not take the PCI device ", address,
               ": load the modules irqbypass, vfio, vfio_iommu_type1, vfio_virqfd, vfio-pci-core, vfio-pci and look "
               "into the kernel's log"));
}

kj::String noIommuGroup(kj::StringPtr address) {
  return kj::str("the PCI device ", address,
                 " is in no IOMMU group, so nothing would confine its DMA: in QEMU use -machine q35 -device "
                 "intel-iommu,intremap=on,caching-mode=on; on hardware switch VT-d on in the firmware and boot with "
                 "intel_iommu=on");
}

}  // namespace nexus
