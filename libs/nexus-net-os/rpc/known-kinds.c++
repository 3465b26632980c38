#include "libs/nexus-net-os/rpc/known-kinds.h"

#include <capnp/rpc.h>
#include <kj/debug.h>

namespace nexus {

bool hasKnownKinds(capnp::rpc::Message::Reader message) {
  switch (message.which()) {
    case capnp::rpc::Message::ABORT:
      return isKnownKind(message.getAbort());
    case capnp::rpc::Message::RETURN:
      return !message.getReturn().isException() || isKnownKind(message.getReturn().getException());
    case capnp::rpc::Message::RESOLVE:
      return !message.getResolve().isException() || isKnownKind(message.getResolve().getException());
    default:
      return true;
  }
}

// Buffered as the library's own network is.
KnownKindStream::KnownKindStream(kj::AsyncCapabilityStream& stream)
    : inner(stream, capnp::IncomingRpcMessage::getShortLivedCallback()) {}

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> KnownKindStream::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd> fdSpace, capnp::ReaderOptions options, kj::ArrayPtr<capnp::word> scratchSpace) {
  return inner.tryReadMessage(fdSpace, options, scratchSpace)
      .then([](kj::Maybe<capnp::MessageReaderAndFds>&& received) {
        KJ_IF_MAYBE (message, received) {
          KJ_REQUIRE(hasKnownKinds(message->reader->getRoot<capnp::rpc::Message>()),
                     "the other end sent an exception of an unknown kind");
        }
        return kj::mv(received);
      });
}

}  // namespace nexus
