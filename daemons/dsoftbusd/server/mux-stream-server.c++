#include "daemons/dsoftbusd/server/mux-stream-server.h"

#include <kj/debug.h>

namespace nexus {

namespace {

using StreamOutcome = idl::PeerSession::StreamOutcome;

class MuxStreamImpl final : public idl::MuxStream::Server {
 public:
  explicit MuxStreamImpl(kj::Own<MuxStream> stream) : stream(kj::mv(stream)) {}

  kj::Promise<void> write(WriteContext context) override {
    auto data = context.getParams().getData();
    KJ_REQUIRE(data.size() <= MUX_MAX_CALL_DATA, "at most 65536 bytes a call", data.size());
    requireRoom(writers);
    WaitQueue::Turn turn(writers);
    while (!turn.isFirst()) co_await turn.wait();
    co_await stream->write(data.begin(), data.size());
  }

  kj::Promise<void> read(ReadContext context) override {
    size_t most = kj::min(context.getParams().getMaxBytes(), MUX_MAX_CALL_DATA);
    KJ_REQUIRE(most > 0, "a read of no bytes");
    requireRoom(readers);
    WaitQueue::Turn turn(readers);
    while (!turn.isFirst()) co_await turn.wait();
    auto buffer = kj::heapArray<kj::byte>(most);
    size_t n = co_await stream->tryRead(buffer.begin(), 1, buffer.size());
    context.getResults().setData(buffer.slice(0, n));
  }

  // Behind the writes that came before it.
  kj::Promise<void> close(CloseContext) override {
    requireRoom(writers);
    WaitQueue::Turn turn(writers);
    while (!turn.isFirst()) co_await turn.wait();
    stream->shutdownWrite();
  }

  kj::Promise<void> reset(ResetContext) override {
    stream->abortRead();
    return kj::READY_NOW;
  }

 private:
  WaitQueue writers, readers;
  kj::Own<MuxStream> stream;

  static void requireRoom(const WaitQueue& queue) {
    if (queue.size() < MUX_MAX_WAITING_CALLS) return;
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait on this stream", MUX_MAX_WAITING_CALLS));
  }
};

}  // namespace

idl::MuxStream::Client newMuxStreamServer(kj::Own<MuxStream> stream) {
  return kj::heap<MuxStreamImpl>(kj::mv(stream));
}

StreamOutcome streamOutcome(MuxResetReason reason) {
  switch (reason) {
    case MuxResetReason::ABORTED:
      return StreamOutcome::RESET;
    case MuxResetReason::DUPLICATE_NAME:
      return StreamOutcome::DUPLICATE_NAME;
    case MuxResetReason::STREAM_LIMIT:
      return StreamOutcome::TOO_MANY_STREAMS;
    case MuxResetReason::BACKLOG_FULL:
      return StreamOutcome::NOT_ACCEPTED;
    case MuxResetReason::DENIED:
      return StreamOutcome::DENIED;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
