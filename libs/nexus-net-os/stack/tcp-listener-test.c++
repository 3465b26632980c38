#include "libs/nexus-net-os/stack/tcp-listener.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/input-hook.h"
#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/tiny-tcp.h"

namespace nexus {
namespace {

using idl::Outcome;
using F = TcpFields;
constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;

struct ListenerFixture : StackFixture {
  using StackFixture::StackFixture;
  kj::Vector<kj::Own<TinyTcp>> clients;

  kj::Own<TcpListener> listen(uint16_t port, uint16_t backlog = 0) {
    auto result = TcpListener::listen(stack, {{}, port}, backlog);
    KJ_ASSERT(result.outcome == Outcome::OK);
    peer.onFrame = [this](const WireFrame& frame) {
      for (auto& client : clients) client->receive(frame);
      peer.sent.push_back(parseFrame(kj::heapArray(frame.bytes.asPtr())));
    };
    return kj::mv(result.listener);
  }

  TinyTcp& client(uint16_t to) {
    auto& added = clients.add(kj::heap<TinyTcp>(peer, sim.timer, 2000 + clients.size()));
    added->connect(to);
    sim.settle();
    return *added;
  }

  // A SYN from a stranger who never answers.
  void flood(uint16_t from, uint16_t to, kj::byte host = 99) {
    peer.sendTcp({from, to, 5000, 0, F::SYN}, nullptr, nullptr, IpAddress::v4(10, 42, 0, host));
    sim.settle();
  }
};

TEST_CASE("an accepted connection knows both ends and carries data that came with the last ACK") {
  ListenerFixture f;
  auto listener = f.listen(34567);
  auto accepting = listener->accept();
  auto& client = f.client(34567);
  client.send(bytesOf("hello"));
  auto conn = f.sim.run(kj::mv(accepting));
  CHECK(conn->localAddress() == SocketAddress{STACK, 34567});
  CHECK(conn->remoteAddress() == SocketAddress{PEER, 2000});
  CHECK(textOf(f.sim.run(conn->read(100))) == "hello");
  f.sim.run(conn->write(bytesOf("welcome")));
  f.sim.settle();
  CHECK(textOf(client.received) == "welcome");
}

TEST_CASE("an accept that is given up loses no connection") {
  ListenerFixture f;
  auto listener = f.listen(80);
  {
    auto abandoned = listener->whenAcceptable();
    f.client(80);
    CHECK(abandoned.poll(f.sim.waitScope));
  }
  CHECK(f.sim.run(listener->accept())->remoteAddress().port == 2000);
}

TEST_CASE("a port has one listener, an address must be ours, and port 0 is a random one") {
  ListenerFixture f;
  auto listener = f.listen(80);
  CHECK(TcpListener::listen(f.stack, {{}, 80}).outcome == Outcome::ADDRESS_IN_USE);
  CHECK(TcpListener::listen(f.stack, {PEER, 81}).outcome == Outcome::ADDRESS_NOT_AVAILABLE);
  auto any = TcpListener::listen(f.stack, {STACK, 0});
  CHECK(any.outcome == Outcome::OK);
  CHECK(any.listener->localAddress().port >= 49152);
  listener = nullptr;
  CHECK(TcpListener::listen(f.stack, {{}, 80}).outcome == Outcome::OK);
}

TEST_CASE("the accept queue holds as many as the backlog says; the next one waits outside and comes in later") {
  ListenerFixture f;
  auto listener = f.listen(80, 2);
  auto& a = f.client(80);
  auto& b = f.client(80);
  auto& c = f.client(80);
  CHECK(a.established);
  CHECK(b.established);
  CHECK(!c.established);
  CHECK(listener->queued() == 2);
  CHECK(f.stack.counters().tcpAcceptOverflow == 1);
  f.sim.run(listener->accept());
  c.connect(80);  // as a TCP repeats its SYN
  f.sim.settle();
  CHECK(c.established);
  CHECK(listener->queued() == 2);
}

TEST_CASE("a handshake whose queue has filled up meanwhile completes when there is room") {
  ListenerFixture f;
  auto listener = f.listen(80, 1);
  auto& slow = f.clients.add(kj::heap<TinyTcp>(f.peer, f.sim.timer, 2000));
  slow->acknowledge = false;
  slow->connect(80);
  f.sim.settle();
  f.client(80);
  CHECK(listener->queued() == 1);
  slow->sendRaw(slow->fields());
  f.sim.settle();
  CHECK(listener->queued() == 1);
  CHECK(f.stack.counters().tcpAcceptOverflow == 1);
  f.sim.run(listener->accept());
  slow->sendRaw(slow->fields());
  CHECK(f.sim.run(listener->accept())->remoteAddress().port == 2000);
}

TEST_CASE("a flood of SYNs is bounded, oldest first, and somebody who answers still gets in") {
  ListenerFixture f;
  f.peer.answerArp = false;
  auto listener = f.listen(80, 8);
  for (uint16_t i = 0; i < 100; ++i) f.flood(10000 + i, 80);
  CHECK(listener->halfOpen() == TcpListener::MIN_HALF_OPEN);
  CHECK(f.stack.counters().tcpHalfOpenNow == TcpListener::MIN_HALF_OPEN);
  CHECK(f.stack.counters().tcpHalfOpenEvicted == 100 - TcpListener::MIN_HALF_OPEN);
  f.peer.answerArp = true;
  auto& client = f.client(80);
  CHECK(client.established);
  CHECK(f.sim.run(listener->accept())->remoteAddress().port == 2000);
  f.sim.advance(30 * kj::SECONDS);  // the others are forgotten
  CHECK(f.stack.counters().tcpHalfOpenNow == 0);
}

TEST_CASE("half-open connections of all listeners together leave room for real ones") {
  ListenerFixture f;
  kj::Vector<kj::Own<TcpListener>> listeners;
  for (uint16_t port = 80; port < 85; ++port) listeners.add(f.listen(port, 255));
  for (uint16_t i = 0; i < 5 * 255; ++i) f.flood(10000 + i, 80 + i % 5);
  CHECK(f.stack.counters().tcpHalfOpenNow == InputHook::MAX_HALF_OPEN);
  auto& client = f.client(84);
  CHECK(client.established);
}

TEST_CASE("closing a listener resets who was not accepted and leaves the others alone") {
  ListenerFixture f;
  auto listener = f.listen(80);
  auto& accepted = f.client(80);
  auto conn = f.sim.run(listener->accept());
  auto& waiting = f.client(80);
  listener = nullptr;
  f.sim.settle();
  CHECK(waiting.resetReceived);
  CHECK(!accepted.resetReceived);
  accepted.send(bytesOf("still here"));
  CHECK(textOf(f.sim.run(conn->read(100))) == "still here");
  auto& late = f.client(80);
  CHECK(late.resetReceived);
}

TEST_CASE("resets to segments of no connection are limited") {
  auto options = StackFixture::ipv4Only();
  options.resetPerSecond = 10;
  ListenerFixture f(options);
  f.peer.send(ethernetFrame(ScriptedPeer::BROADCAST, ScriptedPeer::PEER_MAC, 0x0806,
                            arpPacket(1, ScriptedPeer::PEER_MAC, PEER, {}, STACK)));
  for (uint16_t i = 0; i < 50; ++i) f.peer.sendTcp({uint16_t(3000 + i), 81, 1, 0, F::SYN});
  f.sim.settle();
  size_t resets = 0;
  while (f.peer.take([](auto& frame) { return frame.has(F::RST); }) != nullptr) ++resets;
  CHECK(resets == 10);
  CHECK(f.stack.counters().limitedResets == 40);
}

TEST_CASE("a node can connect to its own address") {
  ListenerFixture f;
  auto listener = f.listen(80);
  auto accepting = listener->accept();
  auto result = f.sim.run(TcpConn::connect(f.stack, {STACK, 80}));
  CHECK(result.outcome == Outcome::OK);
  auto conn = f.sim.run(kj::mv(accepting));
  auto data = kj::heapArray<kj::byte>(500 * 1000);
  f.entropy.fill(data);
  auto writing = result.conn->write(data).then([&]() { return result.conn->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  kj::Vector<kj::byte> got;
  for (;;) {
    auto piece = f.sim.run(conn->read(65536));
    if (piece.size() == 0) break;
    got.addAll(piece);
  }
  CHECK(got.asPtr() == data.asPtr());
  CHECK(f.quiet([](auto& frame) { return frame.isTcp(); }));
  CHECK(f.sim.run(TcpConn::connect(f.stack, {STACK, 81})).outcome == Outcome::REFUSED);
}

TEST_CASE("when the stack goes, waiting accepts fail as disconnected") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  kj::Own<TcpListener> listener;
  kj::Maybe<kj::Promise<kj::Own<TcpConn>>> waiting;
  {
    LwipStack stack(sim.timer, entropy, peer, StackFixture::ipv4Only());
    listener = TcpListener::listen(stack, {{}, 80}).listener;
    waiting = listener->accept();
  }
  auto error = kj::runCatchingExceptions([&]() { sim.run(kj::mv(KJ_ASSERT_NONNULL(waiting))); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
}

}  // namespace
}  // namespace nexus
