#pragma once
// The local services that other nodes may call: takes the streams that peers open for calls, and decides about every
// call on them - rate, then the call itself, then the policy - before it goes to the service. One audit record for each
// decision, and its id in each refusal. Nothing here is written for one service: methods and types come from the
// catalog. Owned by dsoftbusd, shared by all sessions. Knows nothing of sessions: the caller's name comes from the
// trust table.
#include <kj/function.h>
#include <kj/map.h>

#include "daemons/dsoftbusd/mux/mux.h"
#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-connection.h"

namespace nexus {

class RpcExporter {
 public:
  struct Offer {
    const RpcService& service;  // outlives the exporter
    // The service over its present connection (rpc/cap-reconnect), asked for at each call.
    kj::Function<capnp::Capability::Client()> get;
  };

  struct Counters {
    uint64_t streams = 0;          // opened
    uint64_t refusedStreams = 0;   // too many of that peer
    uint64_t refusedCalls = 0;     // too many at once
    uint64_t brokenStreams = 0;    // ended because the peer broke a rule
    uint64_t withheldAnswers = 0;  // of services: a capability in it, or too large
  };

  // nodeName: for refusals, so that a caller knows whose audit record it is.
  RpcExporter(kj::Timer& timer, RemoteProxy& proxy, kj::StringPtr nodeName, kj::Array<Offer> offers,
              const RpcStreamLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(RpcExporter);

  // Whether the name is one of a stream for calls, which is then served here and by nobody else.
  static bool isForCalls(kj::StringPtr streamName);

  // Whether the caller may open that stream: it costs a token and leaves an audit record.
  MuxAdmission mayOpen(const RemoteCaller& caller, kj::StringPtr streamName);

  // Whether it may keep that stream under the policy as it is now; only a refusal leaves an audit record.
  MuxAdmission mayKeep(const RemoteCaller& caller, kj::StringPtr streamName);

  // Serves a stream that was let in, until it ends; never fails. Dropping the promise ends it, and the calls on it are
  // recorded as cancelled.
  kj::Promise<void> serve(const RemoteCaller& caller, kj::StringPtr streamName, kj::Own<kj::AsyncIoStream> stream);

  const Counters& counters() const { return counts; }
  kj::uint callsOf(kj::StringPtr peer) const;
  size_t peersNow() const { return peers.size(); }  // that have streams

 private:
  class OfferedService;
  struct PeerUse {
    kj::uint streams = 0, calls = 0;
  };
  class Place;

  kj::Timer& timer;
  RemoteProxy& proxy;
  kj::String nodeName;
  kj::Array<Offer> offers;
  RpcStreamLimits limits;
  Counters counts;
  kj::HashMap<kj::String, PeerUse> peers;  // those with streams

  kj::Maybe<Offer&> find(kj::StringPtr policyName);
};

}  // namespace nexus
