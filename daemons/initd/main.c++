// PID 1 of a guest: sets the machine up, then hands over to Initd. No logic here.
#include <kj/debug.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemons/initd/guest-setup.h"
#include "daemons/initd/initd.h"
#include "libs/nexus-net-os/daemon/log.h"

namespace nexus {
namespace {

kj::String kernelRelease() {
  utsname name;
  KJ_SYSCALL(uname(&name));
  return kj::heapString(name.release);
}

void runNode() {
  setUpGuest();
  auto parsed = parseKernelArgs(readWholeFile("/proc/cmdline"));
  KJ_IF_MAYBE (error, parsed.tryGet<KernelArgsError>()) KJ_FAIL_REQUIRE(error->message);
  auto& args = parsed.get<KernelArgs>();
  auto services = KJ_REQUIRE_NONNULL(tryFindServices(args.profile), "no such profile", args.profile);
  setHostName(kj::str("node-", args.node));
  loadModules();

  kj::UnixEventPort::captureSignal(SIGCHLD);
  signal(SIGPIPE, SIG_IGN);
  auto io = kj::setupAsyncIo();
  kj::Maybe<StatusPort> port;
  auto terminal = openStatusTerminal();
  KJ_IF_MAYBE (fd, terminal) {
    auto& status = port.emplace(io.lowLevelProvider->wrapSocketFd(kj::mv(*fd)));
    status.send(StatusKernel{kernelRelease()});
  }
  auto kernel = newSystemVfioKernel();
  auto sysfs = newSystemSysfs();
  DeviceLender devices(*io.lowLevelProvider, *kernel, *sysfs);
  sealRoot();
  Initd node(io, kj::mv(args), services, devices, port);
  node.run().wait(io.waitScope);
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
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(nexus::runNode)) {
    KJ_LOG(ERROR, "the node cannot go on", *exception);
  }
  nexus::powerOff();
}
