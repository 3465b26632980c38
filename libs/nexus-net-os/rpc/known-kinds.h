#pragma once
// A socket as messages of Cap'n Proto RPC whose exceptions are of the four kinds that exist. The library takes the
// number of a kind as it comes off the wire, and its printer looks it up in a table of four: a fifth kind would be read
// from beyond that table by whoever logs the exception. Reading a message with one fails, which ends the connection.
// Owned by cap-transport, for its network. Knows nothing of which interface is spoken.
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>

namespace nexus {

inline bool isKnownKind(capnp::rpc::Exception::Reader exception) {
  return exception.getType() <= capnp::rpc::Exception::Type::UNIMPLEMENTED;
}

// False: an exception in it has a kind that nobody knows.
bool hasKnownKinds(capnp::rpc::Message::Reader message);

class KnownKindStream final : public capnp::MessageStream {
 public:
  // stream outlives this.
  explicit KnownKindStream(kj::AsyncCapabilityStream& stream);
  KJ_DISALLOW_COPY_AND_MOVE(KnownKindStream);

  // implements capnp::MessageStream ----------------------------------------

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fdSpace,
                                                                    capnp::ReaderOptions options,
                                                                    kj::ArrayPtr<capnp::word> scratchSpace) override;
  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> fds,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    return inner.writeMessage(fds, segments);
  }
  kj::Promise<void> writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return inner.writeMessages(messages);
  }
  kj::Maybe<int> getSendBufferSize() override { return inner.getSendBufferSize(); }
  kj::Promise<void> end() override { return inner.end(); }

 private:
  capnp::BufferedMessageStream inner;
};

}  // namespace nexus
