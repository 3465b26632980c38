#pragma once
// Cap'n Proto RPC on one stream between two nodes, one end of it: the guard, the library's two-party network and RPC
// system, with bounds. Owned by whoever opened or took the stream. Knows nothing of policy.
#include "daemons/dsoftbusd/schema-rpc/rpc-guard.h"

namespace nexus {

struct RpcStreamLimits {
  kj::uint maxCalls = 32;                           // of one stream at once
  kj::uint maxCallsOfPeer = 64;                     // of one peer at once, over all its streams; at the serving end
  kj::uint maxStreamsOfPeer = 16;                   // at the serving end
  kj::uint maxQuestions = 128;                      // not yet closed by both ends, on one stream; more end it
  size_t maxPayload = 256 * 1024;                   // bytes of parameters or results
  size_t maxBacklog = 1024 * 1024;                  // bytes of answers that wait to be sent; then nothing more is read
  int nestingLimit = 32;                            // levels of pointers
  kj::Duration serviceDeadline = 10 * kj::SECONDS;  // for a service to answer
  kj::Duration callDeadline = 15 * kj::SECONDS;     // for the peer to answer
  kj::Duration abortTime = 1 * kj::SECONDS;         // for a peer that broke a rule to read why; at the serving end
};

class RpcConnection {
 public:
  // service: what a serving end offers; null for a calling end.
  RpcConnection(kj::Own<kj::AsyncIoStream> stream, RpcEnd end, kj::Maybe<capnp::Capability::Client> service,
                const RpcStreamLimits& limits);
  ~RpcConnection() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RpcConnection);

  // Calls a method of the peer's service; at a calling end only. At once, so that calls arrive in their order; as
  // DISCONNECTED once the connection has ended. size: of the parameters.
  kj::Promise<capnp::Response<capnp::AnyPointer>> call(uint64_t interfaceId, uint16_t methodId,
                                                       capnp::AnyPointer::Reader params, capnp::MessageSize size);

  // Calls of this end that the peer may still answer, also those that were given up here, and those that are not
  // written yet. None once the connection has ended.
  size_t unansweredCalls();

  kj::Promise<void> whenEnded() { return network.onDisconnect(); }

  // The peer sent what the rules forbid. It is told why before the connection ends, if it reads.
  bool wasBroken() const { return guard.wasBroken(); }
  kj::Promise<void> whenBroken() { return guard.whenBroken(); }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  RpcGuard guard;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
  // Asked for once, as in rpc/cap-transport: an RpcSystem that has lost its connection must not be asked again.
  kj::Maybe<capnp::Capability::Client> root;
  uint64_t callsMade = 0;
  bool ended = false;
  kj::Promise<void> untilEnd;  // last: uses the rest
};

}  // namespace nexus
