#include "daemons/initd/supervisor-server.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

constexpr Service SERVICES[] = {
    {.name = "driver"_kj, .binary = "/bin/driver"_kj, .uid = 1, .exports = {}, .imports = {}},
    {.name = "stack"_kj, .binary = "/bin/stack"_kj, .uid = 2, .exports = {}, .imports = {}},
};

struct Node final : ServiceHost, SupervisionObserver {
  SimClock clock;
  pid_t nextPid = 100;
  kj::Vector<pid_t> killed;
  kj::Vector<StatusStep> reported;
  kj::Vector<kj::String> told;
  OrderBook orders;
  Supervision supervision{clock.timer, *this, *this, SERVICES};
  idl::Supervisor::Client client =
      kj::heap<SupervisorServer>(supervision, orders, [this](const StatusMessage& message) {
        told.add(encodeStatus(message));
        KJ_IF_MAYBE (step, message.tryGet<StatusStep>())
          reported.add(StatusStep{kj::str(step->name), step->ok, kj::str(step->detail)});
      });

  kj::OneOf<pid_t, StartRefused> start(const Service&) override { return nextPid++; }
  void kill(pid_t pid) override { killed.add(pid); }
  void started(const Service&, pid_t, uint32_t) override {}
  void refused(const Service&, kj::StringPtr) override {}
  void exited(const Service&, const ExitStatus&) override {}
  void waiting(const Service&, kj::Duration) override {}

  bool killService(kj::StringPtr name) {
    auto request = client.killRequest();
    request.setName(name);
    return clock.run(request.send()).getFound();
  }
};

TEST_CASE("the list shows who runs, how often each was started and how it ended last") {
  Node node;
  node.supervision.startAll();
  node.supervision.exited(101, ExitStatus{false, 3});
  auto services = node.clock.run(node.client.servicesRequest().send());
  auto list = services.getServices();
  REQUIRE(list.size() == 2);
  CHECK(list[0].getName() == "driver");
  CHECK(list[0].getPid() == 100);
  CHECK(list[0].getStarts() == 1);
  CHECK(list[0].getLastExit() == "");
  CHECK(list[1].getPid() == 0);
  CHECK(list[1].getLastExit() == "exit 3");
}

TEST_CASE("kill says whether there is such a service") {
  Node node;
  node.supervision.startAll();
  CHECK(node.killService("driver"));
  CHECK_FALSE(node.killService("initd"));
  REQUIRE(node.killed.size() == 1);
  CHECK(node.killed[0] == 100);
}

TEST_CASE("whenRestarted waits for the next start, and giving up is harmless") {
  Node node;
  node.supervision.startAll();
  auto ask = [&] {
    auto request = node.client.whenRestartedRequest();
    request.setName("driver");
    request.setAfterStarts(1);
    return request.send();
  };
  auto waiting = ask();
  {
    auto givenUp = ask();
  }
  CHECK_FALSE(waiting.poll(node.clock.waitScope));
  node.supervision.exited(100, ExitStatus{true, 9});
  CHECK(node.clock.run(kj::mv(waiting)).getStarts() == 2);
}

TEST_CASE("a report is handed on as it came") {
  Node node;
  auto request = node.client.reportRequest();
  request.setStep("net-ping");
  request.setDetail("no gateway");
  node.clock.run(request.send().ignoreResult());
  REQUIRE(node.reported.size() == 1);
  CHECK(node.reported[0].name == "net-ping");
  CHECK_FALSE(node.reported[0].ok);
  CHECK(node.reported[0].detail == "no gateway");
}

TEST_CASE("the selftest asks for the next order and waits until there is one") {
  Node node;
  auto request = node.client.orderRequest();
  request.setAfter(1);
  auto waiting = request.send();
  node.orders.add(TrafficOrder{TrafficOrder::Kind::SOAK_BEGIN});
  CHECK_FALSE(waiting.poll(node.clock.waitScope));
  node.orders.add(TrafficOrder{TrafficOrder::Kind::ARM, 3});
  CHECK(node.clock.run(kj::mv(waiting)).getOrder() == "arm 3");
}

TEST_CASE("the selftest tells of traffic and chaos, and can forge nothing else") {
  Node node;
  auto tell = [&](kj::StringPtr text) {
    auto request = node.client.tellRequest();
    request.setMessage(text);
    node.clock.run(request.send().ignoreResult());
  };
  tell("traffic 1 2 3 4");
  tell("chaos 5 call 6");
  for (auto forged : {"exit 0", "kernel x", "service samgrd start", "step net-ping ok", "hello", "traffic 1"}) {
    CAPTURE(forged);
    CHECK_THROWS(tell(forged));
  }
  REQUIRE(node.told.size() == 2);
  CHECK(node.told[0] == "traffic 1 2 3 4");
  CHECK(node.told[1] == "chaos 5 call 6");
}

}  // namespace
}  // namespace nexus
