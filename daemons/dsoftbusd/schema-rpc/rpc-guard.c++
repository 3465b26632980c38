#include "daemons/dsoftbusd/schema-rpc/rpc-guard.h"

#include <kj/debug.h>

namespace nexus {

namespace {

size_t bytesOf(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  size_t total = 0;
  for (auto& segment : segments) total += segment.size() * sizeof(capnp::word);
  return total;
}

}  // namespace

RpcGuard::RpcGuard(kj::AsyncIoStream& stream, RpcEnd end, kj::uint maxQuestions, size_t maxBacklog)
    : inner(stream), ownEnd(end), rules(end, maxQuestions), maxBacklog(maxBacklog) {}

void RpcGuard::noteBroken() {
  broken = true;
  broke.fire();
}

kj::Promise<void> RpcGuard::whenBroken() {
  while (!broken) co_await broke.wait();
}

// A calling end reads always: two ends that both wait for the other to read would wait for ever.
bool RpcGuard::isBacklogged() const {
  if (ownEnd == RpcEnd::CALLING) return false;
  return writing + (writer == nullptr ? 0 : writer->getCurrentQueueSize()) > maxBacklog;
}

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> RpcGuard::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fdSpace,
                                                                            capnp::ReaderOptions options,
                                                                            kj::ArrayPtr<capnp::word> scratchSpace) {
  while (isBacklogged()) co_await written.wait();
  auto received = co_await inner.tryReadMessage(fdSpace, options, scratchSpace);
  KJ_IF_MAYBE (message, received) {
    auto root = message->reader->getRoot<capnp::rpc::Message>();
    auto rule = rules.checkIncoming(root);
    KJ_IF_MAYBE (what, rule) {
      noteBroken();
      kj::throwFatalException(KJ_EXCEPTION(FAILED, "the peer broke a rule of calls between nodes", *what));
    }
    peerAborted = peerAborted || root.isAbort();
  }
  co_return kj::mv(received);
}

kj::Promise<void> RpcGuard::writeMessage(kj::ArrayPtr<const int>,
                                         kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  checkOutgoing(segments);
  writing += bytesOf(segments);
  KJ_DEFER({
    writing = 0;
    written.fire();
  });
  co_await inner.writeMessage(nullptr, segments);
}

kj::Promise<void> RpcGuard::writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  for (auto& segments : messages) {
    checkOutgoing(segments);
    writing += bytesOf(segments);
  }
  KJ_DEFER({
    writing = 0;
    written.fire();
  });
  co_await inner.writeMessages(messages);
}

void RpcGuard::checkOutgoing(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  capnp::SegmentArrayMessageReader message(segments);
  auto root = message.getRoot<capnp::rpc::Message>();
  auto rule = rules.checkOutgoing(root);
  KJ_IF_MAYBE (what, rule) KJ_FAIL_ASSERT("this end would break a rule of calls between nodes", *what);
  // What the library finds wrong itself: a message that is too large or not well-formed, a reference that is not there.
  bool gaveUp = root.isAbort() && root.getAbort().getType() != capnp::rpc::Exception::Type::DISCONNECTED;
  if (gaveUp && !peerAborted) noteBroken();
}

}  // namespace nexus
