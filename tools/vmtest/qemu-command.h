#pragma once
// The command line of one guest's QEMU. Pure: descriptors and paths in, arguments out. The flags and their reasons: the
// device must be modern and behind the IOMMU (disable-legacy, iommu_platform), VT-d needs interrupt remapping for VFIO,
// nothing else is in the machine.
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus::vmtest {

enum class Accel : kj::byte { KVM, TCG };

struct GuestSpec {
  kj::StringPtr qemu;
  Accel accel;
  kj::uint memoryMiB;
  kj::StringPtr kernel, initrd;
  kj::StringPtr profile;  // nexus.profile=
  kj::byte node;          // 0 = A, 1 = B
  kj::StringPtr mac;
  bool iommuPlatform;
  // Descriptors that QEMU inherits.
  int consoleFd, statusFd;
  kj::Maybe<int> linkFd;                      // Unix datagram socket to the other guest; null: QEMU's user network
  kj::Maybe<int> captureFd;                   // pipe that takes the capture; null: none
  kj::ArrayPtr<const kj::String> guestFlags;  // further words of the kernel command line
};

kj::Vector<kj::String> qemuCommand(const GuestSpec& spec);

// Words a shell would read back as the same arguments.
kj::String shellQuoted(kj::ArrayPtr<const kj::String> arguments);

}  // namespace nexus::vmtest
