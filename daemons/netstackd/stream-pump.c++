#include "daemons/netstackd/stream-pump.h"

#include <kj/debug.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace nexus {

namespace {

constexpr size_t WAITING = 4096;  // bytes; what a stream holds in each direction while it waits
constexpr size_t SEGMENT = 1440;  // bytes; about a full one
constexpr size_t REFILL = 32768;  // bytes; a bulk writer is not read from for less room in the send buffer
constexpr size_t PIECES = 64;     // segments a system call

// The socket of a stream without waiting: what kj has no word for. The stream itself waits, and tells what is wrong.
class SocketNow {
 public:
  explicit SocketNow(kj::AsyncIoStream& stream)
      : fd(KJ_REQUIRE_NONNULL(stream.getFd(), "a stream of the kernel's is needed")) {}

  // Bytes read; 0 when there are none, at the end and on errors.
  size_t read(kj::ArrayPtr<kj::byte> out) {
    if (out.size() == 0) return 0;
    return kj::max(recv(fd, out.begin(), out.size(), MSG_DONTWAIT), ssize_t(0));
  }

  // Bytes written; 0 when there is no room and on errors.
  size_t write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
    iovec vector[PIECES];
    for (size_t i = 0; i < pieces.size(); i++) {
      vector[i] = {const_cast<kj::byte*>(pieces[i].begin()), pieces[i].size()};
    }
    msghdr message{};
    message.msg_iov = vector;
    message.msg_iovlen = pieces.size();
    return kj::max(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL), ssize_t(0));
  }

 private:
  int fd;
};

// Everything, or as much as fits; the rest waits in memory of its own, because `data` is everybody's.
kj::Promise<void> writeShared(TcpConn& conn, kj::ArrayPtr<const kj::byte> data) {
  size_t accepted = conn.tryWrite(data);
  if (accepted == data.size()) return kj::READY_NOW;
  auto rest = kj::heapArray(data.slice(accepted, data.size()));
  auto waiting = conn.write(rest);
  return waiting.attach(kj::mv(rest));
}

kj::Promise<void> pumpToNetwork(NetNode& node, TcpConn& conn, kj::AsyncIoStream& stream) {
  SocketNow socket(stream);
  kj::byte first[WAITING];
  auto shared = node.streamBuffer.asPtr();
  for (;;) {
    size_t got = co_await stream.tryRead(first, 1, sizeof(first));
    if (got == 0) break;
    // A full read is a sign of more: as much of it as the connection takes goes with it, so that segments are full.
    bool more = got == sizeof(first);
    memcpy(shared.begin(), first, got);
    do {
      size_t room = kj::min(shared.size(), conn.writableBytes());
      size_t added = more && room > got ? socket.read(shared.slice(got, room)) : 0;
      more = more && room > got && got + added == room;
      co_await writeShared(conn, shared.slice(0, got + added));
      node.counters.streamBytesToNetwork += got + added;
      if (more) co_await conn.whenWritable(REFILL);
      got = 0;
    } while (more);
  }
  co_await conn.shutdownWrite();
}

// As much as the client's socket takes at once, from where it was received; returns how much.
size_t passOn(TcpConn& conn, SocketNow& socket) {
  kj::ArrayPtr<const kj::byte> pieces[PIECES];
  size_t total = 0;
  for (;;) {
    size_t count = conn.peekPieces(pieces), offered = 0;
    for (size_t i = 0; i < count; i++) offered += pieces[i].size();
    size_t taken = offered > 0 ? socket.write(kj::arrayPtr(pieces, count)) : 0;
    conn.consume(taken);
    total += taken;
    if (offered == 0 || taken < offered) return total;
  }
}

kj::Promise<void> pumpFromNetwork(NetNode& node, TcpConn& conn, kj::AsyncIoStream& stream) {
  // Segments are gathered: one write for many costs less. After a full segment more is likely to come in this same turn
  // of the event loop; after less, it is a message that somebody waits for.
  SocketNow socket(stream);
  kj::byte waiting[WAITING];
  size_t last = 0;
  for (;;) {
    co_await conn.whenReadable();
    if (last >= SEGMENT) co_await kj::evalLast([] {});
    last = passOn(conn, socket);
    if (conn.available() > 0) {
      // The socket is full or gone: one piece waits for it.
      size_t got = takeReceived(conn, waiting);
      co_await stream.write(waiting, got);
      last += got;
    } else if (last == 0 && conn.atEnd()) {
      stream.shutdownWrite();
      co_return;
    } else if (last == 0) {
      conn.tryRead(1);  // neither bytes nor the end: throws what is wrong
    }
    node.counters.streamBytesFromNetwork += last;
  }
}

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
  auto fromNetwork = pumpFromNetwork(*node, **conn, *stream).exclusiveJoin(closed.addBranch());
  co_await kj::joinPromisesFailFast(kj::arr(pumpToNetwork(*node, **conn, *stream), kj::mv(fromNetwork)))
      .exclusiveJoin(lingerLimit(*node, closed.addBranch()));
}

}  // namespace nexus
