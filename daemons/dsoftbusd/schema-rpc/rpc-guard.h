#pragma once
// A byte stream between two nodes as messages of Cap'n Proto RPC, every one of which is held against the rules
// (rpc-rules.h) in both directions. A message that breaks one is never seen by the RPC system: reading fails, which
// makes it send an Abort with the rule and end the connection. Owned by the connection (rpc-connection.h), with the
// stream. Knows nothing of services or policy.
#include <capnp/rpc-twoparty.h>
#include <capnp/serialize-async.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-rules.h"
#include "daemons/dsoftbusd/session/signal.h"

namespace nexus {

class RpcGuard final : public capnp::MessageStream {
 public:
  // maxBacklog: bytes of answers that may wait to be sent; then a serving end reads nothing more until the peer reads.
  RpcGuard(kj::AsyncIoStream& stream, RpcEnd end, kj::uint maxQuestions, size_t maxBacklog);
  KJ_DISALLOW_COPY_AND_MOVE(RpcGuard);

  // The network that writes through this guard: what waits there counts too.
  void watch(capnp::TwoPartyVatNetwork& network) { writer = &network; }

  const RpcRules& state() const { return rules; }

  // The peer sent what no honest end sends: it broke a rule, or this end's RPC system had to give the stream up for it.
  bool wasBroken() const { return broken; }
  kj::Promise<void> whenBroken();

  // implements capnp::MessageStream ----------------------------------------

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fdSpace,
                                                                    capnp::ReaderOptions options,
                                                                    kj::ArrayPtr<capnp::word> scratchSpace) override;
  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> fds,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }
  kj::Promise<void> end() override { return inner.end(); }

 private:
  capnp::AsyncIoMessageStream inner;
  const RpcEnd ownEnd;
  RpcRules rules;
  const size_t maxBacklog;
  capnp::TwoPartyVatNetwork* writer = nullptr;
  size_t writing = 0;  // bytes of the write under way
  Signal written;
  bool broken = false;
  Signal broke;
  bool peerAborted = false;  // so this end says the same

  void noteBroken();
  bool isBacklogged() const;
  void checkOutgoing(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments);
};

}  // namespace nexus
