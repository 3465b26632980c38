#include "daemons/initd/device-lender.h"

#include <kj/debug.h>
#include <sys/socket.h>

#include "daemons/initd/refusal.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"

namespace nexus {

struct DeviceLender::Loan {
  kj::Own<VfioBroker> broker;
  CapServer server;

  explicit Loan(kj::Own<VfioBroker> b)
      : broker(kj::mv(b)),
        server([this](const PeerCredentials&) -> capnp::Capability::Client { return broker->device(); }) {}
};

DeviceLender::DeviceLender(kj::LowLevelAsyncIoProvider& io, VfioKernel& kernel, Sysfs& sysfs)
    : io(io), kernel(kernel), sysfs(sysfs) {}

DeviceLender::~DeviceLender() noexcept(false) = default;

// The address of the one NIC, bound.
kj::String DeviceLender::bindNic() {
  auto nics = findVirtioNics(sysfs);
  if (nics.size() == 0) refuse(kj::str("this machine has no virtio network device: give QEMU -device virtio-net-pci"));
  if (nics.size() > 1) refuse(kj::str("this machine has ", nics.size(), " virtio network devices; one is supported"));
  bindToVfio(sysfs, nics[0].address);
  return kj::mv(nics[0].address);
}

kj::OneOf<kj::AutoCloseFd, StartRefused> DeviceLender::lend() {
  takeBack();
  kj::OneOf<kj::AutoCloseFd, StartRefused> result;
  auto failure = kj::runCatchingExceptions([&] {
    auto next = kj::heap<Loan>(VfioBroker::open(kernel, bindNic()));
    int ends[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    kj::AutoCloseFd ours(ends[0]), theirs(ends[1]);
    next->server.accept(io.wrapUnixSocketFd(kj::mv(ours)));
    loan = kj::mv(next);
    result = kj::mv(theirs);
  });
  KJ_IF_MAYBE (exception, failure) result = StartRefused{kj::heapString(exception->getDescription())};
  return result;
}

void DeviceLender::takeBack() {
  loan = nullptr;
}

}  // namespace nexus
