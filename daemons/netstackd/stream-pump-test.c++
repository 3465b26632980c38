#include "daemons/netstackd/stream-pump.h"

#include <sys/socket.h>

#include "daemons/netstackd/netstack-fixture.h"
#include "libs/nexus-net-os/client/client-stream.h"

namespace nexus {
namespace {

using Type = kj::Exception::Type;

// The descriptor of a socket's stream, as a client that reads and writes it with system calls has it.
kj::Own<kj::AsyncIoStream> streamOf(NetFixture& f, idl::TcpSocket::Client socket) {
  auto response = f.call(socket.openStreamRequest());
  return f.clock.io.lowLevelProvider->wrapSocketFd(f.clock.run(takeFd(response.getStream())));
}

// Reads everything in pieces of many sizes.
kj::Promise<kj::Array<kj::byte>> readAll(kj::AsyncInputStream& in) {
  kj::Vector<kj::byte> all;
  kj::byte buffer[20011];
  for (size_t size = 1;; size = size * 7 % sizeof(buffer) + 1) {
    size_t got = co_await in.tryRead(buffer, 1, size);
    if (got == 0) co_return all.releaseAsArray();
    all.addAll(buffer, buffer + got);
  }
}

TEST_CASE("bulk data goes through a descriptor intact, both ways at once, and each end of file on its own") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = streamOf(f, ends.near), far = streamOf(f, ends.far);
  auto there = pattern(3 << 20, 1), back = pattern(2 << 20, 2);
  auto readThere = readAll(*far), readBack = readAll(*near);
  auto writeThere =
      near->write(there.begin(), there.size()).then([&] { near->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  CHECK(f.clock.run(kj::mv(readThere)) == there);
  auto writeBack = far->write(back.begin(), back.size()).then([&] { far->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  CHECK(f.clock.run(kj::mv(readBack)) == back);
  CHECK(f.node->counters.streams == 2);
  f.clock.settle();
  CHECK(f.node->counters.streamsNow == 0);
  CHECK(f.node->counters.streamBytesToNetwork == there.size() + back.size());
  CHECK(f.node->counters.streamBytesFromNetwork == there.size() + back.size());
}

TEST_CASE("a reader that stops stops the writer, with a bounded amount in between") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = streamOf(f, ends.near), far = streamOf(f, ends.far);
  auto data = pattern(64 << 20);
  size_t written = 0;
  auto writing = kj::evalNow(kj::coCapture([&]() -> kj::Promise<void> {
    for (; written < data.size(); written += 65536) co_await near->write(data.begin() + written, 65536);
    near->shutdownWrite();
  }));
  CHECK(f.clock.stays(writing, 30 * kj::SECONDS));
  CHECK(written > 0);
  CHECK(written < 8 << 20);  // two sockets of the kernel's, a send buffer and a window
  // Once it reads again, everything comes.
  auto reading = readAll(*far);
  CHECK(f.clock.run(kj::mv(reading)) == data);
  f.clock.run(kj::mv(writing));
}

TEST_CASE("streams that wait for their peers at the same time keep their bytes apart") {
  for (size_t piece : {3001, 200000}) {
    NetFixture f;
    auto client = f.newClient(), peer = f.newClient();
    auto listener = f.listen(f.managerOf(*peer), "*:7000");
    constexpr size_t STREAMS = 3, BYTES = 1500000;
    kj::Own<kj::AsyncIoStream> near[STREAMS], far[STREAMS];
    kj::Array<kj::byte> data[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
      near[i] = streamOf(f, f.connect(f.managerOf(*client), "10.42.0.10:7000"));
      far[i] = streamOf(f, f.call(listener.acceptRequest()).getSocket());
      data[i] = pattern(BYTES, 40 * i);
    }
    // Piece by piece, until nothing moves any more; small ones end in a send buffer with room for a part of one.
    kj::Promise<void> writing[STREAMS] = {kj::READY_NOW, kj::READY_NOW, kj::READY_NOW};
    for (size_t at = 0; at < BYTES; at += piece) {
      for (size_t i = 0; i < STREAMS; i++) {
        auto part = data[i].slice(at, kj::min(at + piece, BYTES));
        writing[i] = writing[i]
                         .then([&stream = *near[i], part] { return stream.write(part.begin(), part.size()); })
                         .eagerlyEvaluate(nullptr);
      }
      f.clock.settle();
    }
    for (auto& each : writing) CHECK(f.clock.stays(each));
    kj::Promise<kj::Array<kj::byte>> reading[STREAMS] = {readAll(*far[0]), readAll(*far[1]), readAll(*far[2])};
    for (size_t i = 0; i < STREAMS; i++) {
      writing[i] = writing[i].then([&stream = *near[i]] { stream.shutdownWrite(); }).eagerlyEvaluate(nullptr);
    }
    for (size_t i = 0; i < STREAMS; i++) CHECK(f.clock.run(kj::mv(reading[i])) == data[i]);
  }
}

TEST_CASE("one side through a descriptor, the other through calls") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  // What was sent and received before the stream was opened is part of the same byte sequence.
  f.clock.run(f.send(ends.far, "before "_kj.asBytes()));
  auto near = streamOf(f, ends.near);
  f.clock.run(f.send(ends.far, "after"_kj.asBytes()));
  f.clock.run(ends.far.closeRequest().send().ignoreResult());
  CHECK(f.clock.run(near->readAllText()) == "before after");
  f.clock.run(near->write("answer", 6));
  CHECK(f.clock.run(f.recv(ends.far)) == "answer");
  near->shutdownWrite();
  CHECK(f.clock.run(f.recv(ends.far)) == "");
}

TEST_CASE("a descriptor that is closed sends what was written to it before, then the end") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = streamOf(f, ends.near);
  ends.near = nullptr;  // the descriptor alone keeps the connection
  auto data = pattern(100000);
  f.clock.run(near->write(data.begin(), data.size()));
  near = nullptr;
  kj::Vector<char> got;
  for (;;) {
    auto piece = f.clock.run(f.recv(ends.far));
    if (piece.size() == 0) break;
    got.addAll(piece);
  }
  CHECK(got.asPtr().asBytes() == data);
  f.clock.settle();
  CHECK(f.node->counters.streamsNow == 0);
}

TEST_CASE("a descriptor that is closed at once is the end of file, and the connection goes when the peer closes too") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  streamOf(f, ends.near);
  ends.near = nullptr;
  CHECK(f.clock.run(f.recv(ends.far)) == "");
  CHECK(f.stack.counters().tcpOrphansNow == 1);
  ends.far = nullptr;
  auto passing = f.clock.timer.afterDelay(5 * kj::SECONDS);
  f.clock.run(kj::mv(passing));
  CHECK(f.stack.counters().tcpOrphansNow == 0);
  CHECK(f.node->counters.streamsNow == 0);
}

// A client that writes more than fits into a descriptor whose peer does not read, and closes it. Returns the peer's
// end.
idl::TcpSocket::Client abandonFull(NetFixture& f, idl::NetworkManager::Client manager,
                                   idl::TcpListener::Client listener) {
  auto socket = f.connect(manager, "10.42.0.10:7000");
  auto far = f.call(listener.acceptRequest()).getSocket();
  auto near = streamOf(f, socket);
  auto data = pattern(8 << 20);
  auto writing = near->write(data.begin(), data.size());
  CHECK(f.clock.stays(writing));
  return far;
}

TEST_CASE(
    "closed descriptors whose bytes a peer does not take hold their sockets for the linger limit, then are reset") {
  NetLimits limits;
  limits.tcpSockets = 3;
  NetFixture f(limits);
  auto client = f.newClient(), peer = f.newClient();
  auto manager = f.managerOf(*client);
  auto listener = f.listen(f.managerOf(*peer), "*:7000");
  kj::Vector<idl::TcpSocket::Client> held;
  for (int i = 0; i < 3; i++) held.add(abandonFull(f, manager, listener));
  CHECK(f.node->counters.streamsNow == 3);
  CHECK(f.typeOf(f.connectRequest(manager, "10.42.0.10:7000").send().ignoreResult()) == Type::OVERLOADED);

  // The first was closed about three seconds ago, the last just now.
  auto linger = limits.streamLingerMs * kj::MILLISECONDS;
  auto almost = f.clock.timer.afterDelay(linger - 5 * kj::SECONDS);
  f.clock.run(kj::mv(almost));
  CHECK(f.node->counters.streamsNow == 3);
  CHECK(f.node->counters.streamLingerExpired == 0);
  CHECK(f.typeOf(f.connectRequest(manager, "10.42.0.10:7000").send().ignoreResult()) == Type::OVERLOADED);

  auto over = f.clock.timer.afterDelay(6 * kj::SECONDS);
  f.clock.run(kj::mv(over));
  CHECK(f.node->counters.streamsNow == 0);
  CHECK(f.node->counters.streamLingerExpired == 3);
  CHECK(f.stack.counters().tcpOrphansNow == 0);  // reset, not handed on
  f.connect(manager, "10.42.0.10:7000");
  for (auto& far : held) {
    size_t got = 0;
    auto end = kj::runCatchingExceptions([&] {
      while (size_t piece = f.clock.run(f.recv(far)).size()) got += piece;
    });
    CHECK(got > 0);
    CHECK(KJ_ASSERT_NONNULL(end).getType() == Type::DISCONNECTED);
  }
}

TEST_CASE(
    "a peer that reads within the linger limit gets everything that was written before the descriptor was closed") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = streamOf(f, ends.near);
  ends.near = nullptr;
  auto data = pattern(64 << 20);
  size_t written = 0;
  {
    auto writing = kj::evalNow(kj::coCapture([&]() -> kj::Promise<void> {
      for (;; written += 1000) co_await near->write(data.begin() + written, 1000);
    }));
    CHECK(f.clock.stays(writing));
  }
  near = nullptr;
  auto pause = f.clock.timer.afterDelay(NetLimits().streamLingerMs * kj::MILLISECONDS - kj::SECONDS);
  f.clock.run(kj::mv(pause));
  kj::Vector<char> got;
  for (;;) {
    auto piece = f.clock.run(f.recv(ends.far));
    if (piece.size() == 0) break;
    got.addAll(piece);
  }
  // The write that was cancelled may have left a part.
  CHECK(got.size() >= written);
  CHECK(got.size() < written + 1000);
  CHECK(got.asPtr().asBytes() == data.slice(0, got.size()));
  CHECK(f.node->counters.streamLingerExpired == 0);
}

TEST_CASE(
    "only a closed descriptor is limited: one that is shut down for writing waits for its peer as long as it takes") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = streamOf(f, ends.near);
  auto data = pattern(8 << 20);
  {
    auto writing = near->write(data.begin(), data.size());
    CHECK(f.clock.stays(writing));
  }
  near->shutdownWrite();
  auto pause = f.clock.timer.afterDelay(10 * kj::MINUTES);
  f.clock.run(kj::mv(pause), 20 * kj::MINUTES);
  CHECK(f.node->counters.streamsNow == 1);
  CHECK(f.node->counters.streamLingerExpired == 0);
  CHECK(f.clock.run(f.recv(ends.far)).size() > 0);
}

TEST_CASE("a reset connection closes the descriptor") {
  NetFixture f;
  auto client = f.newClient(), peer = f.newClient();
  auto listener = f.listen(f.managerOf(*peer), "*:7000");
  auto socket = f.connect(f.managerOf(*client), "10.42.0.10:7000");
  auto near = streamOf(f, socket);
  auto reading = near->readAllBytes();
  CHECK(f.clock.stays(reading));
  listener = nullptr;  // nobody accepted: the stack resets it
  CHECK(f.clock.run(kj::mv(reading)).size() == 0);
  auto data = pattern(1000);
  CHECK(f.typeOf(kj::evalNow([&] { return near->write(data.begin(), data.size()); })) == Type::DISCONNECTED);
  CHECK(f.node->counters.streamsNow == 0);
}

TEST_CASE(
    "send, recv and a second stream fail once the bytes go through a descriptor; waiting calls keep it from opening") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto waiting = f.recv(ends.near);
  CHECK(f.clock.stays(waiting));
  CHECK(f.typeOf(ends.near.openStreamRequest().send().ignoreResult()) == Type::FAILED);
  {
    auto cancelled = kj::mv(waiting);
  }
  auto near = streamOf(f, ends.near);
  CHECK(f.typeOf(f.recv(ends.near).ignoreResult()) == Type::FAILED);
  CHECK(f.typeOf(f.send(ends.near, "x"_kj.asBytes())) == Type::FAILED);
  CHECK(f.typeOf(ends.near.closeRequest().send().ignoreResult()) == Type::FAILED);
  CHECK(f.typeOf(ends.near.openStreamRequest().send().ignoreResult()) == Type::FAILED);
}

TEST_CASE("the streams of a client that goes end with it, though the descriptor lives on") {
  NetFixture f;
  auto client = f.newClient(), peer = f.newClient();
  auto listener = f.listen(f.managerOf(*peer), "*:7000");
  auto socket = f.connect(f.managerOf(*client), "10.42.0.10:7000");
  auto far = f.call(listener.acceptRequest()).getSocket();
  auto near = streamOf(f, socket);
  auto reading = near->readAllBytes();
  CHECK(f.clock.stays(reading));
  socket = nullptr;
  client = nullptr;
  CHECK(f.clock.run(kj::mv(reading)).size() == 0);
  CHECK(f.clock.run(f.recv(far)) == "");
  CHECK(f.node->counters.streamsNow == 0);
}

TEST_CASE("a kj stream of the client library uses the descriptor, and calls where there is none") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto near = f.clock.run(openClientStream(ends.near, *f.clock.io.lowLevelProvider));
  auto far = f.clock.run(openClientStream(ends.far, nullptr));
  CHECK(f.node->counters.streams == 1);
  auto data = pattern(300000);
  auto writing = near->write(data.begin(), data.size()).then([&] { near->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  CHECK(f.clock.run(readAll(*far)) == data);
  auto back = far->write(data.begin(), data.size()).then([&] { far->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  CHECK(f.clock.run(readAll(*near)) == data);
}

}  // namespace
}  // namespace nexus
