#include "selftest/restart-step.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

const SocketAddress PEER{IpAddress::v4(10, 0, 2, 2), 15000};
constexpr RestartTransfer TRANSFER{.bytes = 200'000, .killAfter = 50'000};

struct Fixture {
  SimClock clock;
  SimNetwork network{clock.timer};
  uint64_t receivedAtKill = 0;
  uint64_t received = 0;
  kj::uint kills = 0;
  uint32_t starts = 1;
  bool restarts = true;
  bool spoil = false;  // the peer says that it got something else

  Fixture() {
    network.addNode("guest", IpAddress::v4(10, 0, 2, 15));
    network.addNode("host", PEER.address);
  }

  // The harness's sink, as its protocol says.
  kj::Promise<void> peer() {
    auto listen = network.manager("host").createTcpListenerRequest();
    PEER.toIdl(listen.initLocal());
    auto listener = (co_await listen.send()).getListener();
    auto socket = (co_await listener.acceptRequest().send()).getSocket();
    kj::Vector<char> line;
    HostPeerChecksum checksum;
    kj::Maybe<uint64_t> wanted;
    while (wanted == nullptr || received < KJ_ASSERT_NONNULL(wanted)) {
      auto request = socket.recvRequest();
      request.setMaxBytes(10'000);
      auto part = co_await request.send();
      auto data = part.getData();
      size_t used = 0;
      while (wanted == nullptr && used < data.size()) {
        char c = data[used++];
        if (c != '\n') {
          line.add(c);
          continue;
        }
        line.add('\0');
        wanted = KJ_ASSERT_NONNULL(parseHostPeerRequest(kj::StringPtr(line.begin(), line.size() - 1)))
                     .get<HostPeerSink>()
                     .bytes;
      }
      checksum.add(data.slice(used, data.size()));
      received += data.size() - used;
    }
    auto answer = kj::str(hostPeerSinkAnswer(received, checksum.value() + spoil), '\n');
    auto send = socket.sendRequest();
    send.setData(answer.asBytes());
    co_await send.send();
    co_await kj::Promise<void>(kj::NEVER_DONE);
  }
};

class FakeSupervisor final : public idl::Supervisor::Server {
 public:
  explicit FakeSupervisor(Fixture& f) : f(f) {}

  kj::Promise<void> services(ServicesContext context) override {
    auto list = context.getResults().initServices(2);
    list[0].setName("netstackd");
    list[1].setName("virtionetd");
    list[1].setStarts(f.starts);
    return kj::READY_NOW;
  }
  kj::Promise<void> kill(KillContext context) override {
    KJ_REQUIRE(context.getParams().getName() == "virtionetd");
    context.getResults().setFound(true);
    f.kills++;
    f.receivedAtKill = f.received;
    f.network.cut("guest");
    restarted = f.clock.timer.afterDelay(300 * kj::MILLISECONDS)
                    .then([this] {
                      f.starts += f.restarts;
                      f.network.heal("guest");
                    })
                    .eagerlyEvaluate(nullptr);
    return kj::READY_NOW;
  }

 private:
  Fixture& f;
  kj::Promise<void> restarted = nullptr;
};

kj::Maybe<kj::String> failure(Fixture& f) {
  auto peer = f.peer().eagerlyEvaluate(nullptr);
  f.clock.settle();
  idl::Supervisor::Client supervisor = kj::heap<FakeSupervisor>(f);
  auto exception = kj::runCatchingExceptions(
      [&] { f.clock.run(driverRestart(f.network.manager("guest"), supervisor, PEER, TRANSFER)); });
  return exception.map([](kj::Exception& e) { return kj::str(e.getDescription()); });
}

TEST_CASE("the driver is killed once, in the middle, and the transfer completes") {
  Fixture f;
  CHECK((failure(f) == nullptr));
  CHECK(f.kills == 1);
  CHECK(f.received == TRANSFER.bytes);
  CHECK(f.receivedAtKill < TRANSFER.bytes);
}

TEST_CASE("a peer that got other bytes fails the step") {
  Fixture f;
  f.spoil = true;
  CHECK(KJ_ASSERT_NONNULL(failure(f)).startsWith("the peer got other bytes than were sent"));
}

TEST_CASE("a driver that was not started again fails the step, although the bytes arrived") {
  Fixture f;
  f.restarts = false;
  CHECK(KJ_ASSERT_NONNULL(failure(f)).startsWith("the driver was not started again"));
}

TEST_CASE("nobody at the peer's port is said as it is") {
  Fixture f;
  idl::Supervisor::Client supervisor = kj::heap<FakeSupervisor>(f);
  try {
    f.clock.run(driverRestart(f.network.manager("guest"), supervisor, PEER, TRANSFER));
    FAIL("a transfer to nobody");
  } catch (const kj::Exception& e) {
    CHECK(e.getDescription() == "connectTcp 10.0.2.2:15000: refused");
  }
  CHECK(f.kills == 0);
}

}  // namespace
}  // namespace nexus
