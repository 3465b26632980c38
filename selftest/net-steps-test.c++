#include "selftest/net-steps.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

constexpr uint16_t DNS_PORT = 15353;
const IpAddress SELF = IpAddress::v4(10, 0, 2, 15);
const IpAddress GATEWAY = IpAddress::v4(10, 0, 2, 2);

// What SimNetwork serves, but with a configuration of our choice: link and addresses that come and go, a gateway.
class WithConfig final : public idl::NetworkManager::Server {
 public:
  explicit WithConfig(idl::NetworkManager::Client inner) : inner(kj::mv(inner)) {}

  uint32_t generation = 1;
  bool up = true, addressed = true;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter;

  void change(bool newUp, bool newAddressed) {
    up = newUp, addressed = newAddressed, generation++;
    KJ_IF_MAYBE (w, waiter) (*w)->fulfill();
  }

  kj::Promise<void> getConfig(GetConfigContext context) override {
    if (context.getParams().getKnown() == generation) {
      auto paf = kj::newPromiseAndFulfiller<void>();
      waiter = kj::mv(paf.fulfiller);
      co_await paf.promise;
    }
    auto config = context.getResults().initConfig();
    config.setGeneration(generation);
    config.setLinkUp(up);
    GATEWAY.toIdl(config.initGateway());
    if (addressed) SELF.toIdl(config.initAddresses(1)[0].initAddress());
  }
  kj::Promise<void> createTcpListener(CreateTcpListenerContext context) override {
    auto request = inner.createTcpListenerRequest();
    request.setLocal(context.getParams().getLocal());
    return context.tailCall(kj::mv(request));
  }
  kj::Promise<void> connectTcp(ConnectTcpContext context) override {
    auto request = inner.connectTcpRequest();
    request.setRemote(context.getParams().getRemote());
    request.setLocal(context.getParams().getLocal());
    return context.tailCall(kj::mv(request));
  }
  kj::Promise<void> createUdpSocket(CreateUdpSocketContext context) override {
    auto request = inner.createUdpSocketRequest();
    request.setLocal(context.getParams().getLocal());
    return context.tailCall(kj::mv(request));
  }
  kj::Promise<void> createIcmpEcho(CreateIcmpEchoContext context) override {
    return context.tailCall(inner.createIcmpEchoRequest());
  }

 private:
  idl::NetworkManager::Client inner;
};

struct Fixture {
  SimClock clock;
  SimNetwork network{clock.timer};
  FixedEntropy entropy;
  WithConfig* config = nullptr;
  kj::Maybe<idl::NetworkManager::Client> net;
  NetSteps steps{[this]() { return KJ_ASSERT_NONNULL(net); }, entropy};

  Fixture() {
    network.addNode("guest", SELF);
    network.addNode("host", GATEWAY);
    auto server = kj::heap<WithConfig>(network.manager("guest"));
    config = server.get();
    net = idl::NetworkManager::Client(kj::mv(server));
  }
};

TEST_CASE("iface waits for link and address") {
  Fixture f;
  f.config->up = false, f.config->addressed = false;
  auto done = f.steps.iface();
  CHECK_FALSE(done.poll(f.clock.waitScope));
  f.config->change(true, false);
  CHECK_FALSE(done.poll(f.clock.waitScope));
  f.config->change(false, true);
  CHECK_FALSE(done.poll(f.clock.waitScope));
  f.config->change(true, true);
  f.clock.run(kj::mv(done));
  CHECK((f.steps.address() == SELF));
  CHECK((f.steps.gateway() == GATEWAY));
}

TEST_CASE("both pings need an answer of the gateway") {
  Fixture f;
  f.clock.run(f.steps.iface());
  f.clock.run(f.steps.gatewayPing());
  f.clock.run(f.steps.icmpPing());
  f.network.cut("host");
  CHECK_THROWS_AS(f.clock.run(f.steps.gatewayPing()), kj::Exception);
  CHECK_THROWS_AS(f.clock.run(f.steps.icmpPing()), kj::Exception);
}

TEST_CASE("a listener of our own takes a connection and both ends see all bytes and the end") {
  Fixture f;
  f.clock.run(f.steps.iface());
  f.clock.run(f.steps.tcpListen());
  CHECK(f.network.counters().connects == 1);
}

// Answers one query at the gateway: `change` may spoil the answer.
kj::Promise<void> answerOne(idl::NetworkManager::Client host, kj::Function<void(kj::Vector<kj::byte>&)> change) {
  auto create = host.createUdpSocketRequest();
  SocketAddress{GATEWAY, DNS_PORT}.toIdl(create.initLocal());
  auto socket = (co_await create.send()).getSocket();
  auto query = co_await socket.recvFromRequest().send();
  kj::Vector<kj::byte> answer;
  answer.addAll(query.getData());
  answer[2] |= 0x80;
  answer[7] = 1;
  for (int b : {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53}) answer.add(b);
  change(answer);
  auto send = socket.sendToRequest();
  send.setTo(query.getFrom());
  send.setData(answer.asPtr());
  co_await send.send();
  co_await kj::Promise<void>(kj::NEVER_DONE);  // keeps the socket
}

TEST_CASE("the DNS step takes its own answer") {
  Fixture f;
  f.clock.run(f.steps.iface());
  auto server = answerOne(f.network.manager("host"), [](auto&) {});
  f.clock.settle();
  f.clock.run(f.steps.udpDns(DNS_PORT));
}

TEST_CASE("the DNS step refuses an answer to another query, and one with another address") {
  for (size_t at : {0u, 48u}) {
    Fixture f;
    f.clock.run(f.steps.iface());
    auto server = answerOne(f.network.manager("host"), [at](auto& answer) { answer[at] ^= 1; });
    f.clock.settle();
    CHECK_THROWS_AS(f.clock.run(f.steps.udpDns(DNS_PORT)), kj::Exception);
  }
}

TEST_CASE("a harness without an answerer is named") {
  Fixture f;
  f.clock.run(f.steps.iface());
  CHECK_THROWS_AS(f.clock.run(f.steps.udpDns(0)), kj::Exception);
}

}  // namespace
}  // namespace nexus
