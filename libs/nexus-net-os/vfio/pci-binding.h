#pragma once
// Finds a machine's virtio network devices in sysfs and binds one to the vfio-pci driver. Used by initd and the DMA
// probe, as root. Knows nothing of VFIO descriptors.
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus {

// Sysfs as far as this needs it: text attributes, links and folders. Paths are absolute.
class Sysfs {
 public:
  virtual ~Sysfs() noexcept(false) = default;

  // The attribute's text without the final newline; null when it does not exist.
  virtual kj::Maybe<kj::String> read(kj::StringPtr path) = 0;

  // Writes an attribute whole. FAILED with the kernel's reason.
  virtual void write(kj::StringPtr path, kj::StringPtr text) = 0;

  // The last component of the link's target; null when there is no link.
  virtual kj::Maybe<kj::String> linkName(kj::StringPtr path) = 0;

  // Entries of a folder, sorted; empty when it does not exist.
  virtual kj::Array<kj::String> list(kj::StringPtr path) = 0;
};

kj::Own<Sysfs> newSystemSysfs();

struct PciNic {
  kj::String address;            // "0000:00:01.0"
  kj::Maybe<kj::String> driver;  // who has it now
  kj::Maybe<kj::String> group;   // IOMMU group; null when no IOMMU covers the device
};

// All virtio network devices, by address.
kj::Array<PciNic> findVirtioNics(Sysfs& sysfs);

// Gives the device to vfio-pci, taking it from another driver first. Done already is fine. FAILED in a sentence that
// says what to do when there is no IOMMU group or vfio-pci does not take it.
void bindToVfio(Sysfs& sysfs, kj::StringPtr address);

// The sentence for a device that no IOMMU covers.
kj::String noIommuGroup(kj::StringPtr address);

}  // namespace nexus
