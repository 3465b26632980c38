#include "daemons/initd/initd.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemons/initd/listen-socket.h"
#include "daemons/initd/process.h"
#include "daemons/initd/refusal.h"
#include "daemons/initd/supervisor-server.h"

namespace nexus {

namespace {

constexpr kj::StringPtr SUPERVISOR_SOCKET = "supervisor"_kj;
constexpr kj::StringPtr DMA_PROBE = "/bin/dma-probe"_kj;

bool importsSupervisor(kj::ArrayPtr<const Service> services) {
  for (auto& service : services) {
    for (auto& import : service.imports) {
      if (import.socket == SUPERVISOR_SOCKET) return true;
    }
  }
  return false;
}

// The code on the status channel: that of the process, or 128 + signal as shells say it.
int exitCode(const ExitStatus& status) {
  return status.signaled ? 128 + status.number : status.number;
}

}  // namespace

Initd::Initd(kj::AsyncIoContext& io, kj::Timer& timer, KernelArgs args, kj::ArrayPtr<const Service> services,
             DeviceLender& devices, kj::Maybe<StatusPort&> status, NodeGround ground)
    : io(io),
      timer(timer),
      ground(ground),
      args(kj::mv(args)),
      devices(devices),
      status(status),
      services(services),
      supervision(timer, *this, *this, services),
      supervisorServer([this](const PeerCredentials&) -> capnp::Capability::Client {
        return kj::heap<SupervisorServer>(supervision, orders, [this](const StatusMessage& message) { tell(message); });
      }),
      tasks(*this) {}

kj::Promise<void> Initd::run() {
  checkConfigs();
  makeSockets();
  writeSelftestConfig();
  tasks.add(reapLoop());
  if (args.dmaProbe != DmaProbe::OFF) co_await runDmaProbe();
  KJ_IF_MAYBE (name, args.once) supervision.leaveEnded(*name);
  supervision.startAll();
  KJ_IF_MAYBE (kill, args.kill) tasks.add(injectKill({kj::str(kill->service), kill->afterMs}));

  auto asked = kj::Promise<void>(kj::NEVER_DONE);
  KJ_IF_MAYBE (port, status) asked = port->readCommands([this](const StatusCommand& c) { obey(c); });
  auto finish = [](Initd& self) -> kj::Promise<void> {
    int code = co_await self.finished.promise;
    if (code == 0 && self.probeFailed) code = 1;
    self.say(kj::str("the selftest has ended: exit ", code));
    self.tell(StatusExit{static_cast<kj::byte>(code)});
    if (self.status != nullptr) co_await kj::Promise<void>(kj::NEVER_DONE);  // the harness ends the guest
  };
  co_await finish(*this).exclusiveJoin(kj::mv(asked));
  say("powering off");
  supervision.stopAll();
  KJ_IF_MAYBE (port, status) co_await port->flushed();
}

void Initd::makeSockets() {
  for (auto& service : services) {
    for (auto& e : service.exports) sockets.add(Socket{e.socket, listenAt(e.socket, e.client)});
  }
  if (!importsSupervisor(services)) return;
  auto listener = listenAt(SUPERVISOR_SOCKET, SELFTEST_UID);
  tasks.add(supervisorServer.listenLoop(io.lowLevelProvider->wrapListenSocketFd(kj::mv(listener))));
}

kj::AutoCloseFd Initd::listenAt(kj::StringPtr socket, ServiceUid client) {
  return listenFor(socketPath(socket, ground.socketFolder), ground.confine ? client : getuid());
}

kj::String Initd::selftestConfig() const {
  return kj::str(ground.socketFolder, "/selftest.toml");
}

// The selftest's configuration is what the harness said on the kernel command line.
void Initd::writeSelftestConfig() {
  auto text = kj::str("[selftest]\nprofile = \"", args.profile == "os2vm" ? "os2vm" : "qemuTest", "\"\nnode = \"",
                      args.node, "\"\ndnsPort = ", args.dnsPort, "\ntcpPort = ", args.tcpPort, "\nscale = ", args.scale,
                      "\ntraffic = ", args.traffic ? "true" : "false", "\n");
  auto path = selftestConfig();
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), path);
  kj::FdOutputStream(kj::AutoCloseFd(fd)).write(text.begin(), text.size());
}

// Before anybody else has the device: tries to reach memory outside the DMA buffers. Needs what the broker needs.
kj::Promise<void> Initd::runDmaProbe() {
  kj::Vector<kj::String> arguments;
  if (args.dmaProbe == DmaProbe::UNCONFINED) arguments.add(kj::str("--allow-no-iommu"));
  auto started = startProcess({.binary = DMA_PROBE, .arguments = arguments, .fds = nullptr, .uid = nullptr});
  KJ_IF_MAYBE (refused, started.tryGet<StartRefused>()) {
    say(kj::str("the DMA probe does not start: ", refused->reason));
    probeFailed = true;
    tell(StatusStep{kj::str("dma-isolation"), false, kj::str(refused->reason)});
    co_return;
  }
  probe = started.get<pid_t>();
  auto paf = kj::newPromiseAndFulfiller<ExitStatus>();
  probeEnded = kj::mv(paf.fulfiller);
  auto result = co_await paf.promise;
  probe = nullptr;
  probeFailed = !result.ok();
  tell(StatusStep{kj::str("dma-isolation"), result.ok(), result.ok() ? kj::str() : result.text()});
}

// PID 1 reaps everything, its own children and orphans.
kj::Promise<void> Initd::reapLoop() {
  for (;;) {
    int waitStatus;
    pid_t pid;
    while ((pid = waitpid(-1, &waitStatus, WNOHANG)) > 0) {
      auto how = ExitStatus::fromWait(waitStatus);
      if (pid == probe.orDefault(0)) {
        KJ_IF_MAYBE (fulfiller, probeEnded) (*fulfiller)->fulfill(kj::mv(how));
      } else if (!supervision.exited(pid, how)) {
        say(kj::str("reaped an orphan, pid ", pid, ": ", how.text()));
      }
    }
    co_await io.unixEventPort.onSignal(SIGCHLD).ignoreResult();
  }
}

kj::Promise<void> Initd::injectKill(KernelArgs::Kill kill) {
  co_await supervision.whenRestarted(kill.service, 0).ignoreResult();
  co_await timer.afterDelay(kill.afterMs * kj::MILLISECONDS);
  say(kj::str("fault injection: killing ", kill.service));
  supervision.kill(kill.service);
}

// Only test images obey: where there is no selftest there is nobody to break anything for.
void Initd::obey(const StatusCommand& command) {
  if (!importsSupervisor(services)) {
    say("the harness gave a command that only a test image obeys");
    return;
  }
  KJ_SWITCH_ONEOF(command) {
    KJ_CASE_ONEOF(c, PowerOffCommand) return;  // ends the reading, and with it the run
    KJ_CASE_ONEOF(c, KillCommand) {
      bool found = supervision.kill(c.service);
      say(kj::str(found ? "killing " : "asked to kill an unknown service: ", c.service));
    }
    KJ_CASE_ONEOF(c, TrafficOrder) orders.add(c);
  }
}

// What the kernel command line names must be there: a node, a variant of any node of this profile, a service to kill.
void Initd::checkConfigs() {
  auto exists = [&](kj::StringPtr node, kj::StringPtr suffix) {
    return access(kj::str(ground.configFolder, '/', args.profile, '-', node, suffix).cStr(), R_OK) == 0;
  };
  if (!exists(args.node, "")) refuse(kj::str("this image has no node ", args.node, " of profile ", args.profile));
  KJ_IF_MAYBE (variant, args.variant) {
    auto suffix = kj::str('.', *variant);
    if (!exists("a", suffix) && !exists("b", suffix))
      refuse(kj::str("this image has no variant ", *variant, " of profile ", args.profile));
  }
  KJ_IF_MAYBE (kill, args.kill) requireService("kill", kill->service);
  KJ_IF_MAYBE (name, args.once) requireService("once", *name);
}

void Initd::requireService(kj::StringPtr flag, kj::StringPtr name) {
  for (auto& service : services) {
    if (service.name == name) return;
  }
  refuse(kj::str("kernel command line: nexus.", flag, " names no service: ", name));
}

// NAME.toml of the variant if there is one, else of the node; null when the service has none and keeps its defaults.
kj::Maybe<kj::String> Initd::configFor(const Service& service) {
  if (service.oneShot) return selftestConfig();
  kj::Vector<kj::String> paths;
  auto folder = kj::str(ground.configFolder, '/', args.profile, '-', args.node);
  KJ_IF_MAYBE (variant, args.variant) paths.add(kj::str(folder, '.', *variant, '/', service.name, ".toml"));
  paths.add(kj::str(folder, '/', service.name, ".toml"));
  for (auto& path : paths) {
    if (access(path.cStr(), R_OK) == 0) return kj::mv(path);
  }
  return nullptr;
}

kj::Vector<kj::String> Initd::argumentsFor(const Service& service) {
  kj::Vector<kj::String> arguments;
  auto config = configFor(service);
  KJ_IF_MAYBE (path, config) {
    arguments.add(kj::str("--config"));
    arguments.add(kj::mv(*path));
  }
  for (auto& import : service.imports) {
    arguments.add(kj::str("--import"));
    arguments.add(kj::str(import.name, "=unix:", socketPath(import.socket, ground.socketFolder)));
  }
  return arguments;
}

void Initd::say(kj::StringPtr line) {
  auto text = kj::str("initd: ", line, '\n');
  (void)!write(STDOUT_FILENO, text.begin(), text.size());
}

void Initd::tell(const StatusMessage& message) {
  KJ_IF_MAYBE (port, status) port->send(message);
}

// implements ServiceHost ----------------------------------------

kj::OneOf<pid_t, StartRefused> Initd::start(const Service& service) {
  kj::Vector<NamedFd> fds;
  for (auto& e : service.exports) {
    for (auto& socket : sockets) {
      if (socket.name == e.socket) fds.add(NamedFd{e.inheritedName(), socket.fd});
    }
  }
  kj::AutoCloseFd device;
  if (service.device) {
    auto lent = devices.lend();
    KJ_IF_MAYBE (refused, lent.tryGet<StartRefused>()) return kj::mv(*refused);
    device = kj::mv(lent.get<kj::AutoCloseFd>());
    fds.add(NamedFd{"device"_kj, device});
  }
  auto arguments = argumentsFor(service);
  kj::Maybe<ServiceUid> uid;
  if (ground.confine) uid = service.uid;
  return startProcess(
      {.binary = service.binary, .arguments = arguments, .fds = fds, .uid = uid, .ownNetwork = ground.confine});
}

void Initd::kill(pid_t pid) {
  ::kill(pid, SIGKILL);
}

// implements SupervisionObserver ----------------------------------------

void Initd::started(const Service& service, pid_t pid, uint32_t starts) {
  say(kj::str("start ", service.name, " (pid ", pid, starts > 1 ? kj::str(", start ", starts) : kj::str(), ")"));
  tell(StatusServiceStart{kj::str(service.name)});
}

void Initd::refused(const Service& service, kj::StringPtr reason) {
  say(kj::str("refused to start ", service.name, ": ", reason));
  tell(StatusServiceExit{kj::str(service.name), kj::str("refused: ", reason)});
}

void Initd::exited(const Service& service, const ExitStatus& how) {
  say(kj::str("end ", service.name, " (", how.text(), ")"));
  tell(StatusServiceExit{kj::str(service.name), how.text()});
  if (service.device) devices.takeBack();
  if (service.oneShot) finished.fulfiller->fulfill(exitCode(how));
}

void Initd::waiting(const Service& service, kj::Duration delay) {
  say(kj::str("next start of ", service.name, " in ", delay / kj::MILLISECONDS, " ms"));
}

void Initd::taskFailed(kj::Exception&& exception) {
  finished.fulfiller->reject(kj::mv(exception));
}

}  // namespace nexus
