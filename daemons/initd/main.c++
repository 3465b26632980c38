// PID 1 of a guest: sets the machine up, then hands over to Initd. No logic here.
#include <kj/debug.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemons/initd/guest-setup.h"
#include "daemons/initd/initd.h"
#include "daemons/initd/refusal.h"
#include "libs/nexus-net-os/daemon/log.h"

namespace nexus {
namespace {

constexpr kj::byte BOOT_FAILED = 2;  // on the status channel: a mistake in the command line or the image

kj::String kernelRelease() {
  utsname name;
  KJ_SYSCALL(uname(&name));
  return kj::heapString(name.release);
}

void runNode(kj::AsyncIoContext& io, kj::Maybe<StatusPort&> status) {
  auto parsed = parseKernelArgs(readWholeFile("/proc/cmdline"));
  KJ_IF_MAYBE (error, parsed.tryGet<KernelArgsError>()) refuse(kj::mv(error->message));
  auto& args = parsed.get<KernelArgs>();
  auto services = tryFindServices(args.profile);
  if (services == nullptr) refuse(kj::str("kernel command line: there is no profile ", args.profile));
  setHostName(kj::str("node-", args.node));
  loadModules();
  auto kernel = newSystemVfioKernel();
  auto sysfs = newSystemSysfs();
  DeviceLender devices(*io.lowLevelProvider, *kernel, *sysfs);
  for (auto& service : KJ_ASSERT_NONNULL(services)) {
    if (service.stateFolder.size() > 0) makeStateFolder(service.stateFolder, service.uid);
  }
  sealRoot();
  Initd node(io, io.provider->getTimer(), kj::mv(args), KJ_ASSERT_NONNULL(services), devices, status);
  node.run().wait(io.waitScope);
}

void runGuest() {
  setUpGuest();
  kj::UnixEventPort::captureSignal(SIGCHLD);
  signal(SIGPIPE, SIG_IGN);
  auto io = kj::setupAsyncIo();
  kj::Maybe<StatusPort> port;
  auto terminal = openStatusTerminal();
  KJ_IF_MAYBE (fd, terminal) {
    port.emplace(io.lowLevelProvider->wrapSocketFd(kj::mv(*fd))).send(StatusKernel{kernelRelease()});
  }
  auto failure = kj::runCatchingExceptions([&] { runNode(io, port); });
  KJ_IF_MAYBE (exception, failure) {
    auto line = kj::str("initd: the node cannot go on: ", exception->getDescription(), '\n');
    (void)!write(STDOUT_FILENO, line.begin(), line.size());
    KJ_IF_MAYBE (status, port) {
      status->send(StatusExit{BOOT_FAILED});
      status->flushed().wait(io.waitScope);
    }
  }
}

}  // namespace
}  // namespace nexus

int main() {
  if (getpid() != 1) {
    constexpr kj::StringPtr WHY = "initd: is PID 1 of a guest and nothing else; see tools/guest/README.md\n"_kj;
    (void)!write(STDERR_FILENO, WHY.begin(), WHY.size());
    return 2;
  }
  nexus::LineLog log("initd");
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(nexus::runGuest)) {
    KJ_LOG(ERROR, "the guest cannot be set up", *exception);
  }
  nexus::powerOff();
}
