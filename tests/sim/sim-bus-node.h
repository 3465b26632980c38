#pragma once
// One machine of the bus in memory: a whole dsoftbusd with stand-ins for samgrd and bundlemgrd, behind real Cap'n Proto
// connections to the network in memory, so that its stack can be killed and its process restarted. Configured by the
// same TOML as the daemon. Owned by a test.
#include <kj/map.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/bus-markers.h"
#include "daemons/dsoftbusd/dsoftbusd.h"
#include "daemons/dsoftbusd/trust/memory-trust-store.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {

// The services of a machine instead of the stand-ins. Null: a stand-in for samgr and bundlemgr, nothing for the others.
struct SimServices {
  kj::Maybe<idl::Samgr::Client> samgr{};
  kj::Maybe<idl::Bundlemgr::Client> bundlemgr{};
  kj::Maybe<idl::Packagefs::Client> packagefs{};
  kj::Maybe<idl::Statefs::Client> statefs{};
};

class SimBusNode {
 public:
  // toml: the [dsoftbusd] table. The node must be in the network.
  SimBusNode(SimClock& sim, SimNetwork& network, kj::StringPtr node, kj::StringPtr toml, SimServices services = {});
  ~SimBusNode() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SimBusNode);

  // What the next process is configured with.
  void configure(kj::StringPtr newToml) { toml = kj::str(newToml); }

  // The process; stop() is a kill.
  void start();
  void stop();

  // The stack: every capability of it fails as DISCONNECTED, a new one answers from then on.
  void restartStack();
  void stopStack();
  void startStack();

  // What is behind the import of that name, now or after a restart.
  void serveImport(kj::StringPtr name, capnp::Capability::Client cap) { named.upsert(kj::str(name), kj::mv(cap)); }

  idl::DSoftBus::Client bus();
  Dsoftbusd& daemon() { return *KJ_ASSERT_NONNULL(process).node; }

  // Through the DSoftBus capability, as a local program would. Waits at most `limit` of virtual time for the session.
  struct Reply {
    CallStatus status;
    uint64_t auditId;
    kj::Array<kj::byte> reply;
  };
  idl::PeerSession::Client session(kj::StringPtr peer, kj::Duration limit = 30 * kj::SECONDS);
  Reply call(kj::StringPtr peer, kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame);
  idl::SessionState state(kj::StringPtr peer);

  bool printed(const Marker& marker) const { return printCount(marker) > 0; }
  kj::uint printCount(const Marker& marker) const;

  // Its disk: the paired peers outlive the process.
  MemoryTrustStore paired;

  kj::uint samgrCalls = 0, bundlemgrCalls = 0;

 private:
  class Source;
  class SamgrStandIn;
  class BundlemgrStandIn;

  struct Process {
    kj::Own<NetworkSource> source;
    kj::Own<BusMarkers> markers;
    kj::Own<Dsoftbusd> node;
    kj::Promise<void> running = nullptr;
  };

  SimClock& sim;
  SimNetwork& network;
  kj::String name, toml;
  SimServices services;
  FixedEntropy entropy;
  kj::Own<CapServer> stack;
  kj::Vector<kj::String> lines;
  kj::HashMap<kj::String, capnp::Capability::Client> named;
  kj::Maybe<Process> process;

  Dsoftbusd::Imports imports(NetworkSource& source);
};

}  // namespace nexus
