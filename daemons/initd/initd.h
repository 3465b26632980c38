#pragma once
// A node from power-on to power-off, once the guest is set up: makes the sockets, starts the services with what the
// table gives each of them, reaps and restarts, tells console and harness what happens, and ends with the selftest's
// result. Owned by main.
#include <kj/async-unix.h>

#include "daemons/initd/device-lender.h"
#include "daemons/initd/kernel-args.h"
#include "daemons/initd/order-book.h"
#include "daemons/initd/status-port.h"
#include "daemons/initd/supervision.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"

namespace nexus {

// Where a node keeps its things, and whether its services are shut in. Tests have a folder of their own and no root.
struct NodeGround {
  kj::StringPtr configFolder = "/etc/nexus"_kj;
  kj::StringPtr socketFolder = SOCKET_FOLDER;  // also of the selftest's configuration
  bool confine = true;  // services get users and network namespaces of their own, sockets their owners: needs root
};

class Initd final : private ServiceHost, private SupervisionObserver, private kj::TaskSet::ErrorHandler {
 public:
  // timer: by which services are started again. `status` is null when no harness listens. SIGCHLD is captured.
  Initd(kj::AsyncIoContext& io, kj::Timer& timer, KernelArgs args, kj::ArrayPtr<const Service> services,
        DeviceLender& devices, kj::Maybe<StatusPort&> status, NodeGround ground = {});
  KJ_DISALLOW_COPY_AND_MOVE(Initd);

  // Until the harness asks for the end; without a harness until the selftest is over.
  kj::Promise<void> run();

 private:
  struct Socket {
    kj::StringPtr name;
    kj::AutoCloseFd fd;
  };

  kj::AsyncIoContext& io;
  kj::Timer& timer;
  NodeGround ground;
  KernelArgs args;
  DeviceLender& devices;
  kj::Maybe<StatusPort&> status;
  kj::ArrayPtr<const Service> services;
  kj::Vector<Socket> sockets;
  Supervision supervision;
  OrderBook orders;
  CapServer supervisorServer;
  kj::PromiseFulfillerPair<int> finished = kj::newPromiseAndFulfiller<int>();
  kj::Maybe<pid_t> probe;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<ExitStatus>>> probeEnded;
  bool probeFailed = false;
  kj::TaskSet tasks;

  void checkConfigs();
  void makeSockets();
  void writeSelftestConfig();
  kj::Promise<void> runDmaProbe();
  kj::Promise<void> reapLoop();
  kj::Promise<void> injectKill(KernelArgs::Kill kill);
  void obey(const StatusCommand& command);
  void requireService(kj::StringPtr flag, kj::StringPtr name);
  kj::AutoCloseFd listenAt(kj::StringPtr socket, ServiceUid client);
  kj::String selftestConfig() const;
  kj::Vector<kj::String> argumentsFor(const Service& service);
  kj::Maybe<kj::String> configFor(const Service& service);
  void say(kj::StringPtr line);
  void tell(const StatusMessage& message);

  // implements ServiceHost ----------------------------------------
  kj::OneOf<pid_t, StartRefused> start(const Service& service) override;
  void kill(pid_t pid) override;

  // implements SupervisionObserver ----------------------------------------
  void started(const Service& service, pid_t pid, uint32_t starts) override;
  void refused(const Service& service, kj::StringPtr reason) override;
  void exited(const Service& service, const ExitStatus& status) override;
  void waiting(const Service& service, kj::Duration delay) override;

  void taskFailed(kj::Exception&& exception) override;  // of the loops below run(): fatal
};

}  // namespace nexus
