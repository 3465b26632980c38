// That sessions, streams, identity and policy need no more of a transport than transport.h says: the same bus over one
// that is neither TCP nor on the node's stack, and that cuts what is written into datagrams.
#include "daemons/dsoftbusd/transport/transport.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <deque>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

constexpr size_t MAX_DATAGRAM = 1200;

// Takes and gives no more than a datagram's worth of bytes at a time.
class InDatagrams final : public kj::AsyncIoStream {
 public:
  InDatagrams(kj::Own<kj::AsyncIoStream> inner, kj::uint& datagrams) : inner(kj::mv(inner)), datagrams(datagrams) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    KJ_ASSERT(minBytes <= MAX_DATAGRAM);
    return inner->tryRead(buffer, minBytes, kj::min(maxBytes, MAX_DATAGRAM));
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto rest = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    while (rest.size() > 0) {
      auto datagram = rest.slice(0, kj::min(rest.size(), MAX_DATAGRAM));
      datagrams++;
      co_await inner->write(datagram.begin(), datagram.size());
      rest = rest.slice(datagram.size(), rest.size());
    }
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece : pieces) co_await write(piece.begin(), piece.size());
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner->whenWriteDisconnected(); }
  void shutdownWrite() override { inner->shutdownWrite(); }
  void abortRead() override { inner->abortRead(); }

 private:
  kj::Own<kj::AsyncIoStream> inner;
  kj::uint& datagrams;
};

// Both ends of all connections.
class DatagramTransport final : public Transport, public Acceptor {
 public:
  kj::uint dials = 0, datagrams = 0;
  bool reachable = true;

  kj::Promise<Dialed> dial(const SocketAddress&) override {
    dials++;
    if (!reachable) return Dialed(DialFailure{kj::str("nobody is there")});
    auto pipe = kj::newTwoWayPipe();
    arrived.push_back(kj::heap<InDatagrams>(kj::mv(pipe.ends[1]), datagrams));
    some.fire();
    return Dialed(kj::Own<kj::AsyncIoStream>(kj::heap<InDatagrams>(kj::mv(pipe.ends[0]), datagrams)));
  }
  kj::Promise<Accepted> accept() override {
    while (arrived.empty()) co_await some.wait();
    auto stream = kj::mv(arrived.front());
    arrived.pop_front();
    co_return Accepted{kj::mv(stream), {IpAddress::v4(10, 42, 0, 10), 40000}};
  }

 private:
  std::deque<kj::Own<kj::AsyncIoStream>> arrived;
  Signal some;
};

TEST_CASE("a session with its calls, streams and refusals runs over any transport, and comes back over it") {
  SimClock sim;
  DatagramTransport transport;  // outlives both nodes
  SimNetwork network(sim.timer, SimNetwork::Options());
  network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
  network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
  static constexpr kj::StringPtr trustedByA[] = {"node-b"_kj}, trustedByB[] = {"node-a"_kj};
  BusNode a(sim, network, "node-a", IpAddress::v4(10, 42, 0, 10), kj::arrayPtr(trustedByA, 1));
  BusNode b(sim, network, "node-b", IpAddress::v4(10, 42, 0, 11), kj::arrayPtr(trustedByB, 1));
  b.bus->setTransport(0, nullptr);
  b.accepting = b.bus->acceptLoop(transport).eagerlyEvaluate([](kj::Exception&&) {});
  transport.reachable = false;
  a.bus->setTransport(0, transport);
  a.knows(b);
  sim.advance(100 * kj::MILLISECONDS);
  CHECK(a.link("node-b").state() == idl::SessionState::BACKOFF);
  transport.reachable = true;
  sim.advance(1 * kj::SECONDS);
  REQUIRE(a.link("node-b").state() == idl::SessionState::READY);
  REQUIRE(b.link("node-a").state() == idl::SessionState::READY);
  CHECK(network.connectionCount() == 0);

  CHECK(a.call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  CHECK(b.call("node-a", "bundlemgrd", listFrame()).status == CallStatus::OK);
  CHECK(a.call("node-b", "keystored", resolveFrame()).status == CallStatus::DENIED);

  auto before = transport.datagrams;
  auto opened = a.session("node-b")->mux().open("test/1", 4);
  auto mine = kj::mv(opened.get<kj::Own<MuxStream>>());
  auto theirs = sim.run(b.session("node-a")->mux().accept());
  auto sent = kj::heapArray<kj::byte>(200000), received = kj::heapArray<kj::byte>(sent.size());
  for (auto i : kj::indices(sent)) sent[i] = i * 7 + i / 251;
  auto writing = mine->write(sent.begin(), sent.size()).eagerlyEvaluate(nullptr);
  sim.run(theirs->read(received.begin(), received.size()));
  sim.run(kj::mv(writing));
  CHECK(received == sent);
  CHECK(transport.datagrams - before > sent.size() / MAX_DATAGRAM);

  auto dials = transport.dials;
  a.session("node-b")->close(CloseReason::SHUTDOWN, kj::str("the test ends it"));
  sim.advance(10 * kj::SECONDS);
  CHECK(a.link("node-b").state() == idl::SessionState::READY);
  CHECK(transport.dials == dials + 1);
}

}  // namespace
}  // namespace nexus
