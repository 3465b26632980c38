#pragma once
// The network of one node from its link up: makes the stack when the link is there, gets the address, says so with
// markers, and gives each client its NetworkManager. Owned by main's function (runNetstackd) or a test; link, time and
// randomness are handed in.
#include <kj/function.h>

#include "daemons/netstackd/net-node.h"
#include "daemons/netstackd/net-status.h"
#include "daemons/netstackd/netstackd-settings.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "libs/nexus-net-os/daemon/markers.h"

namespace nexus {

class Netstackd final {
 public:
  using MarkerSink = kj::Function<void(const Marker&, kj::StringPtr detail)>;

  struct Surroundings {
    kj::Timer& timer;
    Entropy& entropy;
    kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;  // without it no descriptor is handed out and no facade is proven
    MarkerSink mark;
    NetStatus::LinkCounters linkCounters;
  };

  // `port` is usable once `linkReady` is done. Everything handed in outlives this.
  Netstackd(Surroundings surroundings, NetstackdSettings settings, FramePort& port, kj::Promise<void> linkReady);
  ~Netstackd() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Netstackd);

  // Serves the stack until cancelled. Fails only when the link can never work again.
  kj::Promise<void> run();

  // The network for one more client. Calls wait until the stack is there.
  idl::NetworkManager::Client newManager(NetPolicy policy);
  idl::Status::Client newStatus();

  // Null until the link was ready for the first time.
  kj::Maybe<NetNode&> node();

 private:
  Surroundings around;
  NetstackdSettings settings;
  FramePort& port;
  kj::TimePoint started;
  kj::Maybe<kj::Own<LwipStack>> stack;
  kj::Maybe<kj::Own<DhcpClient>> dhcp;
  kj::Maybe<kj::Own<NetNode>> theNode;
  kj::ForkedPromise<void> ready;  // stack and node are there

  void makeStack();
  kj::Promise<void> configure();
  kj::Promise<void> announceInterface();
  kj::Promise<void> proveFacade();
};

// What --check says: FAILED as wrong configuration, like the start.
void checkNetstackd(config::Netstackd::Reader config);

// The daemon: reads the settings, serves the exports, enters the sandbox, attaches to the import `nic`.
kj::Promise<void> runNetstackd(DaemonContext& context, config::Netstackd::Reader config);

}  // namespace nexus
