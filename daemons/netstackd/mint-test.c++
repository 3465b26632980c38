#include "daemons/netstackd/mint.h"

#include "daemons/netstackd/netstack-fixture.h"

namespace nexus {
namespace {

using Type = kj::Exception::Type;

struct Grant {
  kj::Maybe<kj::Own<CapConnection>> process;  // of whoever got the descriptor
  kj::Maybe<idl::Handle::Client> revoke;

  idl::NetworkManager::Client manager() { return NetFixture::managerOf(*KJ_ASSERT_NONNULL(process)); }
};

Grant mint(NetFixture& f, idl::NetworkManager::Client manager) {
  auto response = f.call(manager.mintRequest());
  REQUIRE(response.getOutcome() == idl::Outcome::OK);
  auto fd = f.clock.run(takeFd(response.getSocket()));
  return {kj::heap<CapConnection>(f.clock.io.lowLevelProvider->wrapUnixSocketFd(kj::mv(fd))), response.getRevoke()};
}

TEST_CASE("a minted socket is the network for whoever holds it, without the minter's connection in the path") {
  NetFixture f;
  auto client = f.newClient();
  auto grant = mint(f, f.managerOf(*client));
  auto ends = f.connection(grant.manager());
  f.clock.run(f.send(ends.near, "through the minted socket"_kj.asBytes()));
  CHECK(f.clock.run(f.recv(ends.far)) == "through the minted socket");
  CHECK(f.node->counters.minted == 1);
  CHECK(f.node->counters.clientsNow == 2);
}

TEST_CASE(
    "dropping the handle cuts everything off: managers, sockets, waiting calls and streams, and closes what was open") {
  NetFixture f;
  auto client = f.newClient(), neighbour = f.newClient();
  auto grant = mint(f, f.managerOf(*client));
  auto manager = grant.manager();
  auto listener = f.listen(manager, "*:7000");
  auto theirs = f.connect(f.managerOf(*neighbour), "10.42.0.10:7000");
  auto ours = f.call(listener.acceptRequest()).getSocket();
  auto streamed = f.connect(manager, "10.42.0.10:7000");
  auto stream =
      f.clock.io.lowLevelProvider->wrapSocketFd(f.clock.run(takeFd(f.call(streamed.openStreamRequest()).getStream())));
  auto restricting = manager.restrictRequest();
  auto narrow = f.call(restricting).getManager();
  auto waitingRecv = f.recv(ours).ignoreResult();
  auto waitingAccept = listener.acceptRequest().send().ignoreResult();
  auto reading = stream->readAllBytes();
  auto peerSees = f.recv(theirs);
  CHECK(f.clock.stays(peerSees));
  CHECK(f.clock.stays(reading));

  grant.revoke = nullptr;
  f.clock.settle();
  CHECK(f.typeOf(kj::mv(waitingRecv)) == Type::DISCONNECTED);
  CHECK(f.typeOf(f.send(ours, "x"_kj.asBytes())) == Type::DISCONNECTED);
  CHECK(f.typeOf(listener.acceptRequest().send().ignoreResult()) == Type::DISCONNECTED);
  CHECK(f.typeOf(manager.getConfigRequest().send().ignoreResult()) == Type::DISCONNECTED);
  CHECK(f.typeOf(narrow.getConfigRequest().send().ignoreResult()) == Type::DISCONNECTED);
  CHECK(f.clock.run(kj::mv(reading)).size() == 0);
  CHECK(f.clock.run(kj::mv(peerSees)) == "");
  CHECK(f.node->counters.clientsNow == 2);
  CHECK(f.node->counters.streamsNow == 0);
  f.listen(f.managerOf(*neighbour), "*:7000");
}

TEST_CASE("the grant ends with its minter") {
  NetFixture f;
  auto client = f.newClient();
  auto grant = mint(f, f.managerOf(*client));
  CHECK(f.call(grant.manager().getConfigRequest()).getConfig().getLinkUp());
  grant.revoke = nullptr;  // as the minter's process does when it dies: its references go
  client = nullptr;
  CHECK(f.typeOf(grant.manager().getConfigRequest().send().ignoreResult()) == Type::DISCONNECTED);
}

TEST_CASE("when the holder closes its end, what it held is closed while the handle is still there") {
  NetFixture f;
  auto client = f.newClient();
  auto grant = mint(f, f.managerOf(*client));
  auto listener = f.listen(grant.manager(), "*:7000");
  listener = nullptr;
  grant.process = nullptr;
  f.clock.settle();
  CHECK(f.node->counters.clientsNow == 1);
  f.listen(f.managerOf(*client), "*:7000");
}

TEST_CASE(
    "a minted network carries the minter's policy and counts against the minter's bounds, and so does one minted from "
    "it") {
  NetLimits limits;
  limits.udpSockets = 1;
  NetFixture f(limits);
  auto client = f.newClient();
  auto restricting = f.managerOf(*client).restrictRequest();
  auto policy = restricting.initPolicy();
  policy.setMint(true);
  auto rule = policy.initUdpBind(1)[0];
  rule.initAddress().setAny();
  rule.setLastPort(65535);
  auto narrow = f.call(restricting).getManager();
  auto grant = mint(f, narrow);
  auto second = mint(f, grant.manager());
  for (auto* minted : {&grant, &second}) {
    CHECK(f.call(f.listenRequest(minted->manager(), "*:7000")).getOutcome() == idl::Outcome::DENIED);
  }
  auto socket = f.udp(second.manager(), "*:1");
  CHECK(f.typeOf(f.udpRequest(grant.manager(), "*:2").send().ignoreResult()) == Type::OVERLOADED);
  CHECK(f.typeOf(f.udpRequest(narrow, "*:2").send().ignoreResult()) == Type::OVERLOADED);
}

TEST_CASE("the place of a minted socket in the quota is free again once its handle is dropped") {
  NetLimits limits;
  limits.minted = 1;
  NetFixture f(limits);
  auto client = f.newClient();
  auto grant = mint(f, f.managerOf(*client));
  CHECK(f.typeOf(f.managerOf(*client).mintRequest().send().ignoreResult()) == Type::OVERLOADED);
  grant.revoke = nullptr;
  f.clock.settle();
  mint(f, f.managerOf(*client));
}

}  // namespace
}  // namespace nexus
