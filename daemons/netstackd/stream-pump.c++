#include "daemons/netstackd/stream-pump.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr size_t BUFFER = 32768;  // bytes; a client has at most one per TCP socket

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
  for (;;) {
    co_await conn.whenReadable();
    auto bytes = conn.peek();
    if (bytes.size() > 0) {
      // In place: the window opens only as far as the client's socket has taken the bytes.
      co_await stream.write(bytes.begin(), bytes.size());
      counters.streamBytesFromNetwork += bytes.size();
      conn.consume(bytes.size());
    } else if (conn.atEnd()) {
      stream.shutdownWrite();
      co_return;
    } else {
      conn.tryRead(1);  // neither bytes nor the end: throws what is wrong
    }
  }
}

}  // namespace

kj::Promise<void> pumpStream(kj::Own<NetNode> node, kj::Own<SharedConn> conn, kj::Own<kj::AsyncIoStream> stream) {
  auto& counters = node->counters;
  counters.streamsNow++;
  KJ_DEFER(counters.streamsNow--);
  KJ_ON_SCOPE_FAILURE((*conn)->abort());
  // A client that has closed its end reads nothing any more, but what it wrote before is still to be sent.
  auto fromNetwork = pumpFromNetwork(counters, **conn, *stream).exclusiveJoin(stream->whenWriteDisconnected());
  co_await kj::joinPromisesFailFast(kj::arr(pumpToNetwork(counters, **conn, *stream), kj::mv(fromNetwork)));
}

}  // namespace nexus
