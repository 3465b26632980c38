#pragma once
// Lends the node's network device to one driver process at a time: finds and binds the NIC once, opens it afresh for
// each life of the driver, and serves it as idl::Device on an inherited socket. Owned by initd. Knows nothing of what
// the driver does with it.
#include <kj/async-io.h>
#include <kj/one-of.h>

#include "daemons/initd/supervision.h"
#include "libs/nexus-net-os/vfio/pci-binding.h"
#include "libs/nexus-net-os/vfio/vfio-broker.h"

namespace nexus {

class DeviceLender final {
 public:
  DeviceLender(kj::LowLevelAsyncIoProvider& io, VfioKernel& kernel, Sysfs& sysfs);
  ~DeviceLender() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(DeviceLender);

  // Opens the device; the driver's end of the socket, or why the device is not lent. A loan that still runs is ended
  // first.
  kj::OneOf<kj::AutoCloseFd, StartRefused> lend();

  // The driver has ended: everything opened for it is closed.
  void takeBack();

 private:
  struct Loan;
  kj::LowLevelAsyncIoProvider& io;
  VfioKernel& kernel;
  Sysfs& sysfs;
  kj::Maybe<kj::Own<Loan>> loan;

  kj::String bindNic();
};

}  // namespace nexus
