#pragma once
// What one client of netstackd has: its quota, the streams that run for it, and its one ICMP endpoint. Made with the
// client's first NetworkManager (one per connection or minted socket), shared by everything made through it, and ended
// when that manager goes: then the streams end too, even where a descriptor was handed on. Knows nothing of RPC.
#include "daemons/netstackd/client-quota.h"
#include "daemons/netstackd/net-node.h"
#include "libs/nexus-net-os/stack/icmp-echo.h"

namespace nexus {

class ClientSession final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  // A client of its own.
  explicit ClientSession(NetNode& node);
  // One that shares the bounds of another: what a client mints counts against that client.
  explicit ClientSession(ClientSession& parent);
  ~ClientSession() noexcept(false);

  NetNode& node() { return *theNode; }
  NetCounters& counters() { return theNode->counters; }
  ClientQuota& quota() { return *theQuota; }
  const NetLimits& limits() const { return theQuota->limits; }

  // Runs until it is done or the session ends, whichever comes first. After the end it is dropped at once.
  void run(kj::Promise<void> stream);

  // OVERLOADED when the stack has no block free.
  IcmpEcho& echo();

  // FAILED as OVERLOADED, and counted, when `waiting` calls wait already on one socket.
  void requireRoomToWait(size_t waiting);

  void end();

 private:
  kj::Own<NetNode> theNode;
  kj::Own<ClientQuota> theQuota;
  kj::Maybe<kj::Own<IcmpEcho>> icmp;
  bool ended = false;
  kj::TaskSet streams;

  // A stream that ends badly has told both its sides by closing; nobody else waits for it.
  void taskFailed(kj::Exception&&) override {}
};

}  // namespace nexus
