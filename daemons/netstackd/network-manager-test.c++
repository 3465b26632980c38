#include "daemons/netstackd/network-manager.h"

#include "daemons/netstackd/netstack-fixture.h"

namespace nexus {
namespace {

using Type = kj::Exception::Type;

TEST_CASE("bytes cross a connection of the stack both ways, and each side may close alone") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  f.clock.run(f.send(ends.near, "ping"_kj.asBytes()));
  CHECK(f.clock.run(f.recv(ends.far)) == "ping");
  f.clock.run(ends.near.closeRequest().send().ignoreResult());
  CHECK(f.clock.run(f.recv(ends.far)) == "");
  f.clock.run(f.send(ends.far, "pong"_kj.asBytes()));
  CHECK(f.clock.run(f.recv(ends.near)) == "pong");
  f.clock.run(ends.far.closeRequest().send().ignoreResult());
  CHECK(f.clock.run(f.recv(ends.near)) == "");
  CHECK(f.typeOf(f.send(ends.near, "late"_kj.asBytes())) == Type::FAILED);

  auto addresses = f.call(ends.far.addressesRequest());
  CHECK(SocketAddress::fromIdl(addresses.getLocal()) == at("10.42.0.10:7000"));
  CHECK(SocketAddress::fromIdl(addresses.getRemote()).address == IpAddress::v4(10, 42, 0, 10));
  CHECK(f.node->counters.connected == 1);
  CHECK(f.node->counters.accepted == 1);
}

TEST_CASE("what was sent before the last reference was dropped still arrives, then the end of file") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  f.clock.run(f.send(ends.near, "last words"_kj.asBytes()));
  ends.near = nullptr;
  CHECK(f.clock.run(f.recv(ends.far)) == "last words");
  CHECK(f.clock.run(f.recv(ends.far)) == "");
}

TEST_CASE("a megabyte goes through send and recv intact while the reader is slow, and send waits for it") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto data = pattern(1 << 20);
  auto writing = kj::evalNow(kj::coCapture([&]() -> kj::Promise<void> {
    for (size_t i = 0; i < data.size(); i += 65536) co_await f.send(ends.near, data.slice(i, i + 65536));
    co_await ends.near.closeRequest().send().ignoreResult();
  }));
  CHECK(f.clock.stays(writing, 10 * kj::SECONDS));  // nobody reads
  kj::Vector<char> got;
  for (;;) {
    auto piece = f.clock.run(f.recv(ends.far, 50000));
    CHECK(piece.size() <= 50000);
    if (piece.size() == 0) break;
    got.addAll(piece);
  }
  f.clock.run(kj::mv(writing));
  CHECK(got.asPtr().asBytes() == data);
}

TEST_CASE("refused, an address that is not ours and a port in use are results") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  CHECK(f.call(f.connectRequest(manager, "10.42.0.10:1")).getOutcome() == idl::Outcome::REFUSED);
  CHECK(f.call(f.listenRequest(manager, "10.42.0.99:1")).getOutcome() == idl::Outcome::ADDRESS_NOT_AVAILABLE);
  auto listener = f.listen(manager, "*:7000");
  CHECK(f.call(f.listenRequest(manager, "*:7000")).getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  CHECK(f.call(f.listenRequest(manager, "10.42.0.10:7000")).getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  auto socket = f.udp(manager, "*:37020");
  CHECK(f.call(f.udpRequest(manager, "*:37020")).getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  auto chosen = f.call(f.listenRequest(manager, "*:0"));
  CHECK(chosen.getOutcome() == idl::Outcome::OK);
  CHECK(chosen.getLocal().getPort() != 0);
}

TEST_CASE("everything a policy does not allow is denied as a result, and counted") {
  NetFixture f({}, NetPolicy());
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  CHECK(f.call(f.connectRequest(manager, "10.42.0.10:1")).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.call(f.listenRequest(manager, "*:1")).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.call(f.udpRequest(manager, "*:1")).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.call(manager.createIcmpEchoRequest()).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.call(manager.mintRequest()).getOutcome() == idl::Outcome::DENIED);
  auto asking = manager.listenAuthorityRequest();
  at("*:1").toIdl(asking.initLocal());
  CHECK(f.call(asking).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.node->counters.denied == 6);
  CHECK(f.port.transmitted <= 8);  // the stack's own announcements at most
}

TEST_CASE("restrict narrows and cannot widen, for connections, groups and every datagram") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto narrowTo = [&](idl::NetworkManager::Client from, kj::StringPtr connect, kj::StringPtr udp) {
    auto request = from.restrictRequest();
    auto fill = [](idl::NetPolicy::Rule::Builder builder, kj::StringPtr text) {
      auto rule = KJ_ASSERT_NONNULL(NetPolicy::Rule::tryParse(text));
      rule.address.toIdl(builder.initAddress());
      builder.setPrefixLength(rule.prefixLength);
      builder.setFirstPort(rule.firstPort), builder.setLastPort(rule.lastPort);
    };
    fill(request.initPolicy().initConnect(1)[0], connect);
    fill(request.getPolicy().initUdpBind(1)[0], udp);
    fill(request.getPolicy().initUdpSend(1)[0], udp);
    return f.call(request).getManager();
  };
  auto listener = f.listen(manager, "*:7000"), other = f.listen(manager, "*:7001");
  auto narrow = narrowTo(manager, "10.42.0.10:7000", "*:37020");
  CHECK(f.call(f.connectRequest(narrow, "10.42.0.10:7000")).getOutcome() == idl::Outcome::OK);
  CHECK(f.call(f.connectRequest(narrow, "10.42.0.10:7001")).getOutcome() == idl::Outcome::DENIED);
  auto wide = narrowTo(narrow, "*:*", "*:*");
  CHECK(f.call(f.connectRequest(wide, "10.42.0.10:7000")).getOutcome() == idl::Outcome::OK);
  CHECK(f.call(f.connectRequest(wide, "10.42.0.10:7001")).getOutcome() == idl::Outcome::DENIED);
  CHECK(f.call(f.listenRequest(wide, "*:7002")).getOutcome() == idl::Outcome::DENIED);
  auto fromPort = [&](idl::NetworkManager::Client from) {
    auto request = f.connectRequest(from, "10.42.0.10:7000");
    request.getLocal().setPort(7002);
    return f.call(request).getOutcome();
  };
  CHECK(fromPort(wide) == idl::Outcome::DENIED);
  CHECK(fromPort(manager) == idl::Outcome::OK);

  auto socket = f.udp(wide, "*:37020");
  CHECK(f.call(f.sendToRequest(socket, "10.42.0.10:37020", "x"_kj.asBytes())).getOutcome() == idl::Outcome::OK);
  CHECK(f.call(f.sendToRequest(socket, "10.42.0.10:37021", "x"_kj.asBytes())).getOutcome() == idl::Outcome::DENIED);
  auto join = socket.joinGroupRequest();
  IpAddress::v4(239, 42, 0, 1).toIdl(join.initGroup());
  CHECK(f.call(join).getOutcome() == idl::Outcome::OK);
}

TEST_CASE("a group, a broadcast address and a multicast address need a policy that names them like any other") {
  NetFixture f;
  auto client = f.newClient();
  auto request = f.managerOf(*client).restrictRequest();
  auto fill = [](idl::NetPolicy::Rule::Builder builder, kj::StringPtr text) {
    auto rule = KJ_ASSERT_NONNULL(NetPolicy::Rule::tryParse(text));
    rule.address.toIdl(builder.initAddress());
    builder.setPrefixLength(rule.prefixLength);
    builder.setFirstPort(rule.firstPort), builder.setLastPort(rule.lastPort);
  };
  auto bind = request.initPolicy().initUdpBind(2);
  fill(bind[0], "10.42.0.10:37020");
  fill(bind[1], "239.42.0.1:37020");
  fill(request.getPolicy().initUdpSend(1)[0], "10.42.0.8/29:37020");
  auto socket = f.udp(f.call(request).getManager(), "10.42.0.10:37020");
  auto join = [&](IpAddress group) {
    auto joining = socket.joinGroupRequest();
    group.toIdl(joining.initGroup());
    return f.call(joining).getOutcome();
  };
  CHECK(join(IpAddress::v4(239, 42, 0, 1)) == idl::Outcome::OK);
  CHECK(join(IpAddress::v4(239, 42, 0, 2)) == idl::Outcome::DENIED);
  CHECK(f.call(f.sendToRequest(socket, "10.42.0.10:37020", nullptr)).getOutcome() == idl::Outcome::OK);
  for (auto to : {"239.42.0.1:37020"_kj, "10.42.0.255:37020"_kj, "255.255.255.255:37020"_kj, "10.42.0.10:37021"_kj}) {
    CHECK(f.call(f.sendToRequest(socket, to, nullptr)).getOutcome() == idl::Outcome::DENIED);
  }
  CHECK(f.node->counters.denied == 5);
}

TEST_CASE("a listen authority listens on its one port and nowhere else") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto asking = manager.listenAuthorityRequest();
  at("10.42.0.10:7000").toIdl(asking.initLocal());
  auto authority = f.call(asking).getAuthority();
  auto response = f.call(authority.listenRequest());
  REQUIRE(response.getOutcome() == idl::Outcome::OK);
  auto listener = response.getListener();
  CHECK(f.call(authority.listenRequest()).getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  f.connect(manager, "10.42.0.10:7000");
  f.call(listener.acceptRequest());
  auto noPort = manager.listenAuthorityRequest();
  at("*:0").toIdl(noPort.initLocal());
  CHECK(f.typeOf(noPort.send().ignoreResult()) == Type::FAILED);
}

TEST_CASE("datagrams keep their boundaries, their order and where they came from") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto a = f.udp(manager, "10.42.0.10:1001"), b = f.udp(manager, "*:1002");
  for (kj::StringPtr data : {"one"_kj, ""_kj, "three"_kj}) {
    CHECK(f.call(f.sendToRequest(a, "10.42.0.10:1002", data.asBytes())).getOutcome() == idl::Outcome::OK);
  }
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1001 one");
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1001 ");
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1001 three");
}

TEST_CASE("an echo request to the own address is answered through the capability") {
  NetFixture f;
  auto client = f.newClient();
  auto echo = f.call(f.managerOf(*client).createIcmpEchoRequest()).getEcho();
  auto ping = [&](IpAddress to) {
    auto request = echo.pingRequest();
    to.toIdl(request.initTo());
    request.setPayload("payload"_kj.asBytes());
    request.setTimeoutMs(1000);
    return f.call(request).getOutcome();
  };
  CHECK(ping(IpAddress::v4(10, 42, 0, 10)) == idl::Outcome::OK);
  CHECK(ping(IpAddress::v4(10, 42, 0, 99)) == idl::Outcome::TIMED_OUT);
}

TEST_CASE("cancelled accept, recv and recvFrom lose nothing") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto listener = f.listen(manager, "*:7000");
  {
    auto cancelled = listener.acceptRequest().send();
    CHECK(f.clock.stays(cancelled));
  }
  auto near = f.connect(manager, "10.42.0.10:7000");
  auto far = f.call(listener.acceptRequest()).getSocket();
  {
    auto cancelled = f.recv(far);
    CHECK(f.clock.stays(cancelled));
  }
  f.clock.run(f.send(near, "kept"_kj.asBytes()));
  CHECK(f.clock.run(f.recv(far)) == "kept");

  auto a = f.udp(manager, "*:1"), b = f.udp(manager, "*:2");
  {
    auto cancelled = f.recvFrom(b);
    CHECK(f.clock.stays(cancelled));
  }
  f.call(f.sendToRequest(a, "10.42.0.10:2", "kept"_kj.asBytes()));
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1 kept");
}

TEST_CASE("of several waiting calls the first gets the data; when it is cancelled the second does") {
  NetFixture f;
  auto client = f.newClient();
  auto ends = f.connection(f.managerOf(*client));
  auto first = f.recv(ends.far), second = f.recv(ends.far), third = f.recv(ends.far);
  CHECK(f.clock.stays(third));
  {
    auto cancelled = kj::mv(first);
  }
  f.clock.run(f.send(ends.near, "2"_kj.asBytes()));
  CHECK(f.clock.run(kj::mv(second)) == "2");
  f.clock.run(f.send(ends.near, "3"_kj.asBytes()));
  CHECK(f.clock.run(kj::mv(third)) == "3");
}

TEST_CASE("waiting calls are OVERLOADED at the bound, one object at a time, and counted") {
  NetLimits limits;
  limits.pendingCalls = 2;
  NetFixture f(limits);
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto ends = f.connection(manager);
  auto r1 = f.recv(ends.far), r2 = f.recv(ends.far);
  CHECK(f.clock.stays(r1));
  CHECK(f.typeOf(f.recv(ends.far).ignoreResult()) == Type::OVERLOADED);
  auto other = f.recv(ends.near);
  CHECK(f.clock.stays(other));

  auto listener = f.listen(manager, "*:7001");
  auto a1 = listener.acceptRequest().send(), a2 = listener.acceptRequest().send();
  CHECK(f.clock.stays(a1));
  CHECK(f.typeOf(listener.acceptRequest().send().ignoreResult()) == Type::OVERLOADED);

  auto socket = f.udp(manager, "*:1");
  auto u1 = f.recvFrom(socket), u2 = f.recvFrom(socket);
  CHECK(f.clock.stays(u1));
  CHECK(f.typeOf(f.recvFrom(socket).ignoreResult()) == Type::OVERLOADED);

  auto known = f.call(manager.getConfigRequest()).getConfig().getGeneration();
  auto getConfig = [&] {
    auto request = manager.getConfigRequest();
    request.setKnown(known);
    return request.send().ignoreResult();
  };
  auto c1 = getConfig(), c2 = getConfig();
  CHECK(f.clock.stays(c1));
  CHECK(f.typeOf(getConfig()) == Type::OVERLOADED);
  c1 = nullptr;
  f.clock.settle();
  c1 = getConfig();
  CHECK(f.clock.stays(c1));
  CHECK(f.node->counters.pendingRefused == 4);
}

TEST_CASE("each kind of thing is OVERLOADED at its own bound, per client, and dropping one makes room") {
  NetLimits limits;
  limits.tcpListeners = 2, limits.tcpSockets = 3, limits.udpSockets = 1, limits.minted = 1;
  NetFixture f(limits);
  auto client = f.newClient(), neighbour = f.newClient();
  auto manager = f.managerOf(*client), othersManager = f.managerOf(*neighbour);

  auto l1 = f.listen(manager, "*:1"), l2 = f.listen(manager, "*:2");
  CHECK(f.typeOf(f.listenRequest(manager, "*:3").send().ignoreResult()) == Type::OVERLOADED);
  auto theirs = f.listen(othersManager, "*:3");
  l2 = nullptr;
  f.clock.settle();
  l2 = f.listen(manager, "*:4");

  auto s1 = f.connect(manager, "10.42.0.10:1"), s2 = f.connect(manager, "10.42.0.10:1");
  auto s3 = f.call(l1.acceptRequest()).getSocket();
  CHECK(f.typeOf(f.connectRequest(manager, "10.42.0.10:1").send().ignoreResult()) == Type::OVERLOADED);
  // The connection that could not be handed over is not lost.
  CHECK(f.typeOf(l1.acceptRequest().send().ignoreResult()) == Type::OVERLOADED);
  s3 = nullptr;
  f.clock.settle();
  s3 = f.call(l1.acceptRequest()).getSocket();

  auto u1 = f.udp(manager, "*:1");
  CHECK(f.typeOf(f.udpRequest(manager, "*:2").send().ignoreResult()) == Type::OVERLOADED);
  auto minted = f.call(manager.mintRequest());
  CHECK(f.typeOf(manager.mintRequest().send().ignoreResult()) == Type::OVERLOADED);

  // A narrowed manager is no way around the bound.
  auto restricting = manager.restrictRequest();
  restricting.initPolicy().initUdpBind(1)[0].initAddress().setAny();
  restricting.getPolicy().getUdpBind()[0].setLastPort(65535);
  auto narrow = f.call(restricting).getManager();
  CHECK(f.typeOf(f.udpRequest(narrow, "*:2").send().ignoreResult()) == Type::OVERLOADED);
  CHECK(f.node->quotaCounters.refused == 6);
}

TEST_CASE("narrowed managers, listen authorities and echo capabilities are bounded together, per client") {
  NetLimits limits;
  limits.grants = 3;
  NetFixture f(limits);
  auto client = f.newClient(), neighbour = f.newClient();
  auto manager = f.managerOf(*client);
  auto authorityRequest = [](idl::NetworkManager::Client from) {
    auto request = from.listenAuthorityRequest();
    request.initLocal().initAddress().setAny();
    request.getLocal().setPort(7000);
    return request;
  };
  auto narrow = f.call(manager.restrictRequest()).getManager();
  auto authority = f.call(authorityRequest(manager)).getAuthority();
  auto echo = f.call(manager.createIcmpEchoRequest()).getEcho();
  for (int i = 0; i < 2; i++) {
    CHECK(f.typeOf(manager.restrictRequest().send().ignoreResult()) == Type::OVERLOADED);
    CHECK(f.typeOf(narrow.restrictRequest().send().ignoreResult()) == Type::OVERLOADED);
    CHECK(f.typeOf(authorityRequest(manager).send().ignoreResult()) == Type::OVERLOADED);
    CHECK(f.typeOf(manager.createIcmpEchoRequest().send().ignoreResult()) == Type::OVERLOADED);
    f.call(f.managerOf(*neighbour).restrictRequest());
    if (i == 0) {
      authority = nullptr;
      f.clock.settle();
      authority = f.call(authorityRequest(manager)).getAuthority();
    }
  }
  narrow = nullptr;
  f.clock.settle();
  narrow = f.call(manager.restrictRequest()).getManager();
  echo = nullptr;
  f.clock.settle();
  echo = f.call(manager.createIcmpEchoRequest()).getEcho();
  CHECK(f.node->quotaCounters.refused == 8);
}

TEST_CASE("a datagram backlog keeps the newest up to the bound") {
  NetLimits limits;
  limits.udpBacklogDatagrams = 2;
  NetFixture f(limits);
  auto client = f.newClient();
  auto a = f.udp(f.managerOf(*client), "*:1"), b = f.udp(f.managerOf(*client), "*:2");
  for (kj::StringPtr data : {"1"_kj, "2"_kj, "3"_kj}) f.call(f.sendToRequest(a, "10.42.0.10:2", data.asBytes()));
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1 2");
  CHECK(f.clock.run(f.recvFrom(b)) == "10.42.0.10:1 3");
  CHECK(f.stack.counters().udpOverflow == 1);
}

TEST_CASE("when a client goes, all it held is closed: ports are free, peers see the end") {
  NetFixture f;
  auto client = f.newClient(), neighbour = f.newClient();
  auto manager = f.managerOf(*client), othersManager = f.managerOf(*neighbour);
  auto listener = f.listen(manager, "*:7000");
  auto theirs = f.connect(othersManager, "10.42.0.10:7000");
  auto ours = f.call(listener.acceptRequest()).getSocket();
  auto socket = f.udp(manager, "*:37020");
  auto waiting = f.recv(theirs);
  CHECK(f.clock.stays(waiting));
  CHECK(f.node->counters.clientsNow == 2);

  manager = nullptr, listener = nullptr, ours = nullptr, socket = nullptr;
  client = nullptr;
  CHECK(f.clock.run(kj::mv(waiting)) == "");
  CHECK(f.node->counters.clientsNow == 1);
  f.listen(othersManager, "*:7000");
  f.udp(othersManager, "*:37020");
}

TEST_CASE("closing a listener or a UDP socket fails the calls that wait on it as DISCONNECTED") {
  NetFixture f;
  auto client = f.newClient();
  auto listener = f.listen(f.managerOf(*client), "*:7000");
  auto socket = f.udp(f.managerOf(*client), "*:1");
  auto a1 = listener.acceptRequest().send().ignoreResult(), a2 = listener.acceptRequest().send().ignoreResult();
  auto u1 = f.recvFrom(socket).ignoreResult(), u2 = f.recvFrom(socket).ignoreResult();
  CHECK(f.clock.stays(a2));
  f.call(listener.closeRequest());
  f.call(socket.closeRequest());
  for (auto* promise : {&a1, &a2, &u1, &u2}) CHECK(f.typeOf(kj::mv(*promise)) == Type::DISCONNECTED);
  CHECK(f.typeOf(f.sendToRequest(socket, "10.42.0.10:1", nullptr).send().ignoreResult()) == Type::DISCONNECTED);
}

TEST_CASE("addresses of a wrong length, missing addresses and oversized data are FAILED") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto listener = f.listen(manager, "*:7000");
  auto socket = f.udp(manager, "*:1");
  auto near = f.connect(manager, "10.42.0.10:7000");
  kj::byte bytes[17] = {10, 42, 0, 10};
  for (size_t length : {0, 3, 5, 15, 16, 17}) {
    auto request = manager.connectTcpRequest();
    request.initRemote().setPort(7000);
    request.getRemote().initAddress().setV4(kj::arrayPtr(bytes, length));
    CHECK(f.typeOf(request.send().ignoreResult()) == Type::FAILED);
    auto sendTo = socket.sendToRequest();
    sendTo.initTo().setPort(1);
    sendTo.getTo().initAddress().setV4(kj::arrayPtr(bytes, length));
    CHECK(f.typeOf(sendTo.send().ignoreResult()) == Type::FAILED);
  }
  for (size_t length : {0, 4, 15, 17}) {
    auto request = manager.connectTcpRequest();
    request.initRemote().setPort(7000);
    request.getRemote().initAddress().setV6(kj::arrayPtr(bytes, length));
    CHECK(f.typeOf(request.send().ignoreResult()) == Type::FAILED);
  }
  CHECK(f.typeOf(f.connectRequest(manager, "*:7000").send().ignoreResult()) == Type::FAILED);
  CHECK(f.typeOf(f.connectRequest(manager, "10.42.0.10:0").send().ignoreResult()) == Type::FAILED);
  CHECK(f.typeOf(f.send(near, pattern(65537))) == Type::FAILED);
  CHECK(f.typeOf(f.recv(near, 0).ignoreResult()) == Type::FAILED);
  CHECK(f.typeOf(f.sendToRequest(socket, "10.42.0.10:1", pattern(65508)).send().ignoreResult()) == Type::FAILED);
  auto join = socket.joinGroupRequest();
  IpAddress::v4(10, 42, 0, 1).toIdl(join.initGroup());
  CHECK(f.typeOf(join.send().ignoreResult()) == Type::FAILED);
}

TEST_CASE("a client that sends garbage instead of RPC messages loses its connection and harms nobody") {
  constexpr uint64_t SEED = 20240607;
  CAPTURE(SEED);
  FixedEntropy random(SEED);
  NetFixture f;
  auto neighbour = f.newClient();
  auto ends = f.connection(f.managerOf(*neighbour));
  for (int round = 0; round < 200; round++) {
    auto pipe = f.clock.io.provider->newCapabilityPipe();
    f.server.accept(kj::mv(pipe.ends[0]));
    auto garbage = kj::heapArray<kj::byte>(8 + random.next() % 512);
    random.fill(garbage);
    // Half of them as something that looks like a message of one small segment, some as one of 2^32 segments.
    if (round % 2 == 0) memset(garbage.begin(), 0, 8), garbage[4] = (garbage.size() - 8) / 8;
    if (round % 5 == 0) memset(garbage.begin(), 0xff, 4);
    f.clock.run(pipe.ends[1]->write(garbage.begin(), garbage.size()));
    pipe.ends[1] = nullptr;
    f.clock.settle();
  }
  f.clock.run(f.send(ends.near, "still here"_kj.asBytes()));
  CHECK(f.clock.run(f.recv(ends.far)) == "still here");
  CHECK(f.server.connectionCount() == 1);
  CHECK(f.node->counters.clientsNow == 1);
}

TEST_CASE(
    "getConfig answers at once, then again when something has changed, and the last wait is cancelled without harm") {
  NetFixture f;
  auto client = f.newClient();
  auto manager = f.managerOf(*client);
  auto first = f.call(manager.getConfigRequest()).getConfig().getGeneration();
  // The link-local address comes by itself; wait until the configuration rests.
  for (;;) {
    auto next = manager.getConfigRequest();
    next.setKnown(first);
    auto promise = next.send().dropPipeline();
    if (f.clock.stays(promise, 10 * kj::SECONDS)) break;
    first = f.clock.run(kj::mv(promise)).getConfig().getGeneration();
  }
  auto next = manager.getConfigRequest();
  next.setKnown(first);
  auto waiting = next.send().dropPipeline();
  CHECK(f.clock.stays(waiting));
  f.stack.setIpv4({IpAddress::v4(10, 0, 2, 15), 24, IpAddress::v4(10, 0, 2, 2)}, idl::NetConfig::Origin::STATIC);
  auto changed = f.clock.run(kj::mv(waiting));
  auto config = changed.getConfig();
  CHECK(config.getGeneration() != first);
  CHECK(config.getLinkUp());
  CHECK(config.getMtu() == 1500);
  CHECK(config.getMacAddress().size() == 6);
  CHECK(IpAddress::fromIdl(config.getGateway()) == IpAddress::v4(10, 0, 2, 2));
  REQUIRE(config.getAddresses().size() >= 1);
  CHECK(IpAddress::fromIdl(config.getAddresses()[0].getAddress()) == IpAddress::v4(10, 0, 2, 15));
  CHECK(config.getAddresses()[0].getPrefixLength() == 24);
  CHECK(config.getLimits().getTcpSockets() == 256);
}

TEST_CASE("the resolver and the packet trace are UNIMPLEMENTED, as the contract says") {
  NetFixture f;
  auto client = f.newClient();
  CHECK(f.typeOf(f.managerOf(*client).createDnsResolverRequest().send().ignoreResult()) == Type::UNIMPLEMENTED);
  CHECK(f.typeOf(f.managerOf(*client).createPacketTraceRequest().send().ignoreResult()) == Type::UNIMPLEMENTED);
}

}  // namespace
}  // namespace nexus
