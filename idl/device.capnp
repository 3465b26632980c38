@0xf527214109447d97;
# Raw hardware authority: one PCI network device, already bound to VFIO and already confined by the IOMMU.
# Served by initd, the broker, to exactly one virtionetd. Whoever holds a Device can drive that device and reach the DMA memory named
# here, and nothing else. The broker refuses a device that does not offer VIRTIO_F_ACCESS_PLATFORM (feature bit 33), because such a
# device would bypass the IOMMU although VFIO looks healthy.
#
# The holder drops all of it once the virtio handshake is done; its mappings stay. When the last mapping goes, the kernel resets the device.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
using import "common.capnp".Fd;

interface Device {
  mmio @0 () -> (mmio :DeviceMmio);
  interrupts @1 () -> (interrupts :List(Interrupt));
  # MSI-X vectors in order: 0 configuration, 1 receive, 2 transmit. Already armed.
  dmaPool @2 () -> (pool :DmaPool);
}

interface DeviceMmio {
  # The registers of one device: the VFIO device descriptor and where its regions lie.

  open @0 () -> (device :Fd, regions :List(Region), address :Text);
  # address is the PCI address, for messages ("0000:00:01.0").

  struct Region {
    kind @0 :Kind;
    offset @1 :UInt64;
    # Where the region begins in the descriptor (pread/pwrite or mmap).
    length @2 :UInt64;
    mappable @3 :Bool;
    index @4 :UInt8;
    # BAR number; 0 for the configuration space.

    enum Kind {
      configSpace @0;
      bar @1;
    }
  }
}

interface Interrupt {
  # One MSI-X vector as an eventfd that the kernel signals.

  eventFd @0 () -> (event :Fd);
}

interface DmaPool {
  # The memory that the device may reach, and no other. Two areas, so that the rings are never shared with a third process:
  # whoever can write descriptors chooses DMA addresses.

  rings @0 () -> (memory :DmaMemory);
  # Virtqueues and headers. For the driver alone.
  buffers @1 () -> (memory :DmaMemory);
  # Frame buffers. May be shared with one netstackd through Nic.attach.

  struct DmaMemory {
    memory @0 :Fd;
    # A memfd, not yet sealed.
    iova @1 :UInt64;
    # The address under which the device sees it.
    size @2 :UInt64;
    # Bytes.
  }
}
