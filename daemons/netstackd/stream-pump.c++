#include "daemons/netstackd/stream-pump.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr size_t BUFFER = 32768;  // bytes; a client has at most two per TCP socket
constexpr size_t SEGMENT = 1440;  // bytes; about a full one

kj::Promise<void> pumpToNetwork(NetCounters& counters, TcpConn& conn, kj::AsyncIoStream& stream) {
  auto buffer = kj::heapArray<kj::byte>(BUFFER);
  for (;;) {
    size_t got = co_await stream.tryRead(buffer.begin(), 1, buffer.size());
    if (got == 0) break;
    co_await conn.write(buffer.slice(0, got));
    counters.streamBytesToNetwork += got;
  }
  co_await conn.shutdownWrite();
}

kj::Promise<void> pumpFromNetwork(NetCounters& counters, TcpConn& conn, kj::AsyncIoStream& stream) {
  // Segments are gathered: one write for many costs less than the copy. After a full segment more is likely to come in
  // this same turn of the event loop; after less, it is a message that somebody waits for.
  auto buffer = kj::heapArray<kj::byte>(BUFFER);
  size_t got = 0;
  for (;;) {
    co_await conn.whenReadable();
    if (got >= SEGMENT) co_await kj::evalLast([] {});
    got = takeReceived(conn, buffer);
    if (got > 0) {
      co_await stream.write(buffer.begin(), got);
      counters.streamBytesFromNetwork += got;
    } else if (conn.atEnd()) {
      stream.shutdownWrite();
      co_return;
    } else {
      conn.tryRead(1);  // neither bytes nor the end: throws what is wrong
    }
  }
}

}  // namespace

namespace {

// Fails once the client's end has been closed for as long as its last bytes may wait for the peer.
kj::Promise<void> lingerLimit(NetNode& node, kj::Promise<void> closed) {
  co_await closed;
  co_await node.stack.clock().afterDelay(node.limits.streamLingerMs * kj::MILLISECONDS);
  node.counters.streamLingerExpired++;
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the peer did not take what was written before the close"));
}

}  // namespace

size_t takeReceived(TcpConn& conn, kj::ArrayPtr<kj::byte> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    auto piece = conn.peek();
    if (piece.size() == 0) break;
    size_t amount = kj::min(piece.size(), out.size() - filled);
    memcpy(out.begin() + filled, piece.begin(), amount);
    conn.consume(amount);
    filled += amount;
  }
  return filled;
}

kj::Promise<void> pumpStream(kj::Own<NetNode> node, kj::Own<SharedConn> conn, kj::Own<kj::AsyncIoStream> stream) {
  auto& counters = node->counters;
  counters.streamsNow++;
  KJ_DEFER(counters.streamsNow--);
  KJ_ON_SCOPE_FAILURE((*conn)->abort());
  // A client that has closed its end reads nothing any more, but what it wrote before is still to be sent.
  // That needs a peer who reads, and a peer who does not must not keep the client's socket for ever.
  auto closed = stream->whenWriteDisconnected().fork();
  auto fromNetwork = pumpFromNetwork(counters, **conn, *stream).exclusiveJoin(closed.addBranch());
  co_await kj::joinPromisesFailFast(kj::arr(pumpToNetwork(counters, **conn, *stream), kj::mv(fromNetwork)))
      .exclusiveJoin(lingerLimit(*node, closed.addBranch()));
}

}  // namespace nexus
