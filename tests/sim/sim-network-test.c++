#include "tests/sim/sim-network.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

SocketAddress at(kj::StringPtr text) {
  return KJ_ASSERT_NONNULL(SocketAddress::tryParse(text));
}
kj::ArrayPtr<const kj::byte> bytes(kj::StringPtr text) {
  return text.asBytes();
}
kj::String text(capnp::Data::Reader data) {
  return kj::heapString(data.asChars());
}

struct Fixture {
  SimClock clock;
  SimNetwork network;
  idl::NetworkManager::Client a, b;

  explicit Fixture(SimNetwork::Options options = {}) : network(clock.timer, options), a(nullptr), b(nullptr) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    network.addNode("node-c", IpAddress::v4(10, 42, 0, 12));
    a = network.manager("node-a");
    b = network.manager("node-b");
  }

  auto tryListen(idl::NetworkManager::Client manager, kj::StringPtr local, uint16_t backlog = 0) {
    auto request = manager.createTcpListenerRequest();
    at(local).toIdl(request.initLocal());
    request.setBacklog(backlog);
    return clock.run(request.send().dropPipeline());
  }
  idl::TcpListener::Client listen(idl::NetworkManager::Client manager, kj::StringPtr local, uint16_t backlog = 0) {
    auto response = tryListen(manager, local, backlog);
    REQUIRE(response.getOutcome() == idl::Outcome::OK);
    return response.getListener();
  }
  auto sendConnect(idl::NetworkManager::Client manager, kj::StringPtr remote) {
    auto request = manager.connectTcpRequest();
    at(remote).toIdl(request.initRemote());
    request.initLocal().initAddress().setAny();
    return request.send().dropPipeline();
  }
  auto connect(idl::NetworkManager::Client manager, kj::StringPtr remote) {
    return clock.run(sendConnect(manager, remote));
  }

  // A connection from node-a to node-b: both ends.
  struct Ends {
    idl::TcpSocket::Client a, b;
  };
  Ends connection() {
    auto listener = listen(b, "*:34568");
    auto accepted = listener.acceptRequest().send();
    auto connected = connect(a, "10.42.0.11:34568");
    REQUIRE(connected.getOutcome() == idl::Outcome::OK);
    return {connected.getSocket(), clock.run(accepted.dropPipeline()).getSocket()};
  }

  auto sendSend(idl::TcpSocket::Client socket, kj::ArrayPtr<const kj::byte> data) {
    auto request = socket.sendRequest();
    request.setData(data);
    return request.send().ignoreResult();
  }
  auto sendRecv(idl::TcpSocket::Client socket, uint32_t max = 65536) {
    auto request = socket.recvRequest();
    request.setMaxBytes(max);
    return request.send().then([](auto&& response) { return text(response.getData()); });
  }

  idl::UdpSocket::Client udp(idl::NetworkManager::Client manager, kj::StringPtr local) {
    auto request = manager.createUdpSocketRequest();
    at(local).toIdl(request.initLocal());
    auto response = clock.run(request.send().dropPipeline());
    REQUIRE(response.getOutcome() == idl::Outcome::OK);
    return response.getSocket();
  }
  idl::Outcome sendTo(idl::UdpSocket::Client socket, kj::StringPtr to, kj::StringPtr data) {
    auto request = socket.sendToRequest();
    at(to).toIdl(request.initTo());
    request.setData(bytes(data));
    return clock.run(request.send().dropPipeline()).getOutcome();
  }
  auto recvFrom(idl::UdpSocket::Client socket) {
    return socket.recvFromRequest().send().then([](auto&& response) {
      return kj::str(SocketAddress::fromIdl(response.getFrom()), ' ', response.getData().asChars());
    });
  }
};

kj::Exception::Type failureOf(SimClock& clock, kj::Promise<void> promise) {
  auto failure = kj::runCatchingExceptions([&] { clock.run(kj::mv(promise)); });
  KJ_IF_MAYBE (exception, failure) return exception->getType();
  FAIL("the call succeeded");
  KJ_UNREACHABLE;
}

TEST_CASE("bytes cross a connection both ways, and closing one side leaves the other open") {
  Fixture f;
  auto ends = f.connection();
  f.clock.run(f.sendSend(ends.a, bytes("hello")));
  CHECK(f.clock.run(f.sendRecv(ends.b)) == "hello");
  f.clock.run(ends.a.closeRequest().send().ignoreResult());
  CHECK(f.clock.run(f.sendRecv(ends.b)) == "");
  f.clock.run(f.sendSend(ends.b, bytes("still here")));
  CHECK(f.clock.run(f.sendRecv(ends.a)) == "still here");
  auto addresses = f.clock.run(ends.b.addressesRequest().send().dropPipeline());
  CHECK(SocketAddress::fromIdl(addresses.getLocal()) == at("10.42.0.11:34568"));
  CHECK(SocketAddress::fromIdl(addresses.getRemote()).address == IpAddress::v4(10, 42, 0, 10));
}

TEST_CASE("a send waits while the peer does not read, and every byte arrives in order") {
  Fixture f;
  auto ends = f.connection();
  auto data = kj::heapArray<kj::byte>(65536);
  for (size_t i = 0; i < data.size(); i++) data[i] = i * 7 + i / 256;
  f.clock.run(f.sendSend(ends.a, data));
  auto second = f.sendSend(ends.a, data);
  f.clock.advance(10 * kj::SECONDS);
  CHECK_FALSE(second.poll(f.clock.waitScope));
  kj::Vector<char> got;
  while (got.size() < 2 * data.size()) {
    auto piece = f.clock.run(f.sendRecv(ends.b));
    REQUIRE(piece.size() > 0);
    got.addAll(piece);
  }
  f.clock.run(kj::mv(second));
  CHECK(got.asPtr().asBytes().slice(0, data.size()) == data);
  CHECK(got.asPtr().asBytes().slice(data.size(), got.size()) == data);
}

TEST_CASE("nobody listening is refused, a cut node times out, no route is unreachable: all results") {
  Fixture f;
  CHECK(f.connect(f.a, "10.42.0.11:1").getOutcome() == idl::Outcome::REFUSED);
  CHECK(f.connect(f.a, "192.0.2.1:1").getOutcome() == idl::Outcome::UNREACHABLE);
  CHECK(f.connect(f.a, "10.42.0.99:1").getOutcome() == idl::Outcome::TIMED_OUT);
  f.network.cut("node-b");
  CHECK(f.connect(f.a, "10.42.0.11:1").getOutcome() == idl::Outcome::TIMED_OUT);
  f.network.heal("node-b");
  CHECK(f.connect(f.a, "10.42.0.11:1").getOutcome() == idl::Outcome::REFUSED);
}

TEST_CASE("a connect survives a short cut, and so does a connection") {
  Fixture f;
  auto listener = f.listen(f.b, "10.42.0.11:34568");
  f.network.cut("node-a");
  auto connecting = f.sendConnect(f.a, "10.42.0.11:34568");
  f.clock.advance(2 * kj::SECONDS);
  f.network.heal("node-a");
  auto a = f.clock.run(kj::mv(connecting)).getSocket();
  auto b = f.clock.run(listener.acceptRequest().send().dropPipeline()).getSocket();
  f.network.cut("node-b");
  f.clock.run(f.sendSend(a, bytes("one")));
  f.clock.run(f.sendSend(a, bytes("two")));
  auto reading = f.sendRecv(b);
  f.clock.advance(10 * kj::SECONDS);
  CHECK_FALSE(reading.poll(f.clock.waitScope));
  f.network.heal("node-b");
  CHECK(f.clock.run(kj::mv(reading)) == "one");
  CHECK(f.clock.run(f.sendRecv(b)) == "two");
}

TEST_CASE("killed connections fail as DISCONNECTED on both sides, waiting calls included") {
  Fixture f;
  auto ends = f.connection();
  auto reading = f.sendRecv(ends.b).ignoreResult();
  CHECK_FALSE(reading.poll(f.clock.waitScope));
  f.network.killConnections("node-a");
  CHECK(failureOf(f.clock, kj::mv(reading)) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf(f.clock, f.sendSend(ends.a, bytes("x"))) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("a dropped socket is the end of file at its peer, and a dropped connection leaves nothing behind") {
  Fixture f;
  {
    auto ends = f.connection();
    CHECK(f.network.connectionCount() == 1);
    f.clock.run(f.sendSend(ends.a, bytes("last words")));
    ends.a = nullptr;
    CHECK(f.clock.run(f.sendRecv(ends.b)) == "last words");
    CHECK(f.clock.run(f.sendRecv(ends.b)) == "");
  }
  f.clock.advance(kj::SECONDS);
  CHECK(f.network.connectionCount() == 0);
}

TEST_CASE("a cancelled recv or accept takes nothing away from the next caller") {
  Fixture f;
  auto listener = f.listen(f.b, "*:34568");
  {
    auto cancelled = listener.acceptRequest().send();
    CHECK_FALSE(cancelled.poll(f.clock.waitScope));
  }
  auto a = f.connect(f.a, "10.42.0.11:34568").getSocket();
  auto b = f.clock.run(listener.acceptRequest().send().dropPipeline()).getSocket();
  {
    auto cancelled = f.sendRecv(b);
    CHECK_FALSE(cancelled.poll(f.clock.waitScope));
  }
  f.clock.run(f.sendSend(a, bytes("kept")));
  CHECK(f.clock.run(f.sendRecv(b)) == "kept");
}

TEST_CASE("readers are served in the order in which they came") {
  Fixture f;
  auto ends = f.connection();
  auto first = f.sendRecv(ends.b), second = f.sendRecv(ends.b);
  CHECK_FALSE(first.poll(f.clock.waitScope));
  f.clock.run(f.sendSend(ends.a, bytes("1")));
  f.clock.run(f.sendSend(ends.a, bytes("2")));
  CHECK(f.clock.run(kj::mv(first)) == "1");
  CHECK(f.clock.run(kj::mv(second)) == "2");
}

TEST_CASE("a port in use is a result; a dropped listener frees it and refuses what it had not accepted") {
  Fixture f;
  auto listener = f.listen(f.b, "*:34568");
  CHECK(f.tryListen(f.b, "*:34568").getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  CHECK(f.tryListen(f.b, "10.42.0.99:1").getOutcome() == idl::Outcome::ADDRESS_NOT_AVAILABLE);
  auto a = f.connect(f.a, "10.42.0.11:34568").getSocket();
  listener = nullptr;
  CHECK(failureOf(f.clock, f.sendRecv(a).ignoreResult()) == kj::Exception::Type::DISCONNECTED);
  f.listen(f.b, "*:34568");
}

TEST_CASE("unicast reaches the bound port, broadcast every other node, and neither comes back to the sender") {
  Fixture f;
  auto a = f.udp(f.a, "*:37020"), b = f.udp(f.b, "*:37020"), c = f.udp(f.network.manager("node-c"), "*:37020");
  CHECK(f.sendTo(a, "10.42.0.11:37020", "to b") == idl::Outcome::OK);
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:37020 to b");
  for (kj::StringPtr broadcast : {"10.42.0.255:37020"_kj, "255.255.255.255:37020"_kj}) {
    CHECK(f.sendTo(a, broadcast, "all") == idl::Outcome::OK);
    CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:37020 all");
    CHECK(f.clock.run(f.recvFrom(c)) == "10.42.0.10:37020 all");
  }
  auto own = f.recvFrom(a);
  f.clock.advance(kj::SECONDS);
  CHECK_FALSE(own.poll(f.clock.waitScope));
  CHECK(f.sendTo(a, "192.0.2.1:1", "nowhere") == idl::Outcome::UNREACHABLE);
}

TEST_CASE("a multicast datagram reaches only those who joined the group") {
  Fixture f;
  auto a = f.udp(f.a, "*:37020"), b = f.udp(f.b, "*:37020"), c = f.udp(f.network.manager("node-c"), "*:37020");
  auto join = b.joinGroupRequest();
  IpAddress::v4(239, 42, 0, 1).toIdl(join.initGroup());
  CHECK(f.clock.run(join.send().dropPipeline()).getOutcome() == idl::Outcome::OK);
  f.sendTo(a, "239.42.0.1:37020", "group");
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:37020 group");
  auto deaf = f.recvFrom(c);
  f.clock.advance(kj::SECONDS);
  CHECK_FALSE(deaf.poll(f.clock.waitScope));
}

TEST_CASE("datagrams to a cut node are lost and counted; a full backlog drops the oldest and counts it") {
  SimNetwork::Options options;
  options.limits.udpBacklogDatagrams = 2;
  Fixture f(options);
  auto a = f.udp(f.a, "*:1"), b = f.udp(f.b, "*:2");
  f.network.cut("node-b");
  f.sendTo(a, "10.42.0.11:2", "lost");
  f.clock.advance(kj::SECONDS);
  f.network.heal("node-b");
  CHECK(f.network.datagramsLost() == 1);
  for (kj::StringPtr data : {"1"_kj, "2"_kj, "3"_kj}) f.sendTo(a, "10.42.0.11:2", data);
  f.clock.advance(kj::SECONDS);
  CHECK(f.network.udpCounters().backlogDropped == 1);
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1 2");
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1 3");
}

TEST_CASE("limits are per client and OVERLOADED at the bound; dropping makes room") {
  SimNetwork::Options options;
  options.limits.tcpListeners = 1;
  options.limits.pendingCalls = 1;
  Fixture f(options);
  auto listener = f.listen(f.b, "*:1");
  auto request = f.b.createTcpListenerRequest();
  at("*:2").toIdl(request.initLocal());
  CHECK(failureOf(f.clock, request.send().ignoreResult()) == kj::Exception::Type::OVERLOADED);
  f.listen(f.network.manager("node-b"), "*:2");
  auto waiting = listener.acceptRequest().send();
  CHECK_FALSE(waiting.poll(f.clock.waitScope));
  CHECK(failureOf(f.clock, listener.acceptRequest().send().ignoreResult()) == kj::Exception::Type::OVERLOADED);
  {
    auto dropped = kj::mv(waiting);
  }
  listener = nullptr;
  f.clock.settle();
  f.listen(f.b, "*:1");
}

TEST_CASE("a narrowed manager is denied as a result, and a listen authority is for its port alone") {
  Fixture f;
  auto restricting = f.b.restrictRequest();
  auto narrow = f.clock.run(restricting.send().dropPipeline()).getManager();
  CHECK(f.tryListen(narrow, "*:1").getOutcome() == idl::Outcome::DENIED);
  CHECK(f.connect(narrow, "10.42.0.10:1").getOutcome() == idl::Outcome::DENIED);
  auto asking = f.b.listenAuthorityRequest();
  at("*:34568").toIdl(asking.initLocal());
  auto authority = f.clock.run(asking.send().dropPipeline()).getAuthority();
  auto listener = f.clock.run(authority.listenRequest().send().dropPipeline());
  CHECK(listener.getOutcome() == idl::Outcome::OK);
  CHECK(f.connect(f.a, "10.42.0.11:34568").getOutcome() == idl::Outcome::OK);
}

TEST_CASE("a stack that dies takes all that came of it along, waiting calls included, without a word to the others") {
  using Type = kj::Exception::Type;
  Fixture f;
  auto ends = f.connection();
  auto listener = f.listen(f.b, "*:1");
  auto udp = f.udp(f.b, "*:37020");
  auto reading = f.sendRecv(ends.b).ignoreResult(), peerReading = f.sendRecv(ends.a).ignoreResult();
  auto accepting = listener.acceptRequest().send().ignoreResult();
  auto hearing = f.recvFrom(udp).ignoreResult();
  auto connecting = f.sendConnect(f.b, "10.42.0.99:1").ignoreResult();
  auto configRequest = f.b.getConfigRequest();
  configRequest.setKnown(1);
  auto waiting = configRequest.send().ignoreResult();
  auto lost = f.network.whenStackLost("node-b");
  f.clock.settle();
  CHECK_FALSE(lost.poll(f.clock.waitScope));

  f.network.stopStack("node-b");
  CHECK_FALSE(f.network.hasStack("node-b"));
  CHECK(lost.poll(f.clock.waitScope));
  for (auto* call : {&reading, &accepting, &hearing, &connecting, &waiting}) {
    CHECK(failureOf(f.clock, kj::mv(*call)) == Type::DISCONNECTED);
  }
  CHECK(failureOf(f.clock, f.sendSend(ends.b, bytes("x"))) == Type::DISCONNECTED);
  CHECK(failureOf(f.clock, f.b.createUdpSocketRequest().send().ignoreResult()) == Type::DISCONNECTED);
  CHECK(failureOf(f.clock, f.network.manager("node-b").getConfigRequest().send().ignoreResult()) == Type::DISCONNECTED);

  // Nobody answers for it, and its peer is told nothing.
  CHECK(f.connect(f.a, "10.42.0.11:1").getOutcome() == idl::Outcome::TIMED_OUT);
  f.clock.run(f.sendSend(ends.a, bytes("to nobody")));
  f.clock.advance(kj::SECONDS);
  CHECK_FALSE(peerReading.poll(f.clock.waitScope));
}

TEST_CASE("a fresh stack has the ports again, knows no connection, and resets those that still talk to it") {
  Fixture f;
  auto ends = f.connection();
  auto udp = f.udp(f.b, "*:37020");
  auto reading = f.sendRecv(ends.a).ignoreResult();
  f.network.stopStack("node-b");
  f.network.startStack("node-b");
  CHECK(f.network.hasStack("node-b"));
  CHECK_FALSE(f.network.whenStackLost("node-b").poll(f.clock.waitScope));
  auto fresh = f.network.manager("node-b");
  auto listener = f.listen(fresh, "*:34568");
  auto again = f.udp(fresh, "*:37020");
  CHECK(f.connect(f.a, "10.42.0.11:34568").getOutcome() == idl::Outcome::OK);
  CHECK_FALSE(reading.poll(f.clock.waitScope));
  f.clock.run(f.sendSend(ends.a, bytes("are you there")));
  CHECK(failureOf(f.clock, kj::mv(reading)) == kj::Exception::Type::DISCONNECTED);
  // What came of the old one is dead for good.
  CHECK(failureOf(f.clock, f.recvFrom(udp).ignoreResult()) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("an address of another length than its family's is FAILED") {
  Fixture f;
  auto request = f.a.connectTcpRequest();
  kj::byte three[] = {10, 42, 0};
  request.initRemote().initAddress().setV4(kj::arrayPtr(three, 3));
  request.getRemote().setPort(1);
  CHECK(failureOf(f.clock, request.send().ignoreResult()) == kj::Exception::Type::FAILED);
}

}  // namespace
}  // namespace nexus
