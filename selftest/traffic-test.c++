#include "selftest/traffic.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

constexpr auto MS = kj::MILLISECONDS;

// What the node's bus and its supervisor do, settable by the test.
struct World {
  bool up = true, spoils = false;
  kj::StringPtr silent;  // a service that never answers
  kj::uint opened = 0, accepted = 0;
  kj::Vector<kj::String> told;
  kj::Vector<kj::String> orders;
  kj::ForkedPromise<void> broken = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> breaker;

  World() { renew(); }
  void renew() {
    auto paf = kj::newPromiseAndFulfiller<void>();
    broken = paf.promise.fork();
    breaker = kj::mv(paf.fulfiller);
  }
  // Whatever is under way fails, and what comes later too until up() again.
  void fail() {
    up = false;
    breaker->reject(KJ_EXCEPTION(DISCONNECTED, "the session has ended"));
  }
  void heal() {
    renew();
    up = true;
  }
};

// A stream whose other end sends everything back.
class EchoStream final : public idl::MuxStream::Server {
 public:
  explicit EchoStream(World& world) : world(world) {}
  kj::Promise<void> write(WriteContext context) override {
    if (!world.up) return KJ_EXCEPTION(DISCONNECTED, "reset");
    bytes.addAll(context.getParams().getData());
    return kj::READY_NOW;
  }
  kj::Promise<void> read(ReadContext context) override {
    if (!world.up) return KJ_EXCEPTION(DISCONNECTED, "reset");
    if (world.spoils && bytes.size() > 0) bytes[0] ^= 1;
    context.getResults().setData(bytes.asPtr());
    bytes.clear();
    return kj::READY_NOW;
  }

 private:
  World& world;
  kj::Vector<kj::byte> bytes;
};

class FakeSession final : public idl::PeerSession::Server {
 public:
  explicit FakeSession(World& world) : world(world) {}
  kj::Promise<void> call(CallContext context) override {
    if (!world.up) return KJ_EXCEPTION(DISCONNECTED, "the session has ended");
    auto service = context.getParams().getService();
    if (service == world.silent) return kj::NEVER_DONE;
    auto results = context.getResults();
    results.setStatus(idl::CallStatus::OK);
    auto put = context.getParams().getFrame()[3] == 1;
    results.setReply(kj::decodeHex(service == "samgrd"       ? "534d0186000000000000000000"_kj
                                   : service == "bundlemgrd" ? "424e018100010000"_kj
                                   : service == "packagefsd" ? "504b01810005000000000000000000"_kj
                                   : put                     ? "5346018100"_kj
                                         : "534601820011000000747261666669632d6f662d6e6f64652d61"_kj));
    return kj::READY_NOW;
  }
  kj::Promise<void> openStream(OpenStreamContext context) override {
    CHECK(context.getParams().getName() == "traffic-node-a");
    world.opened++;
    context.getResults().setStream(kj::heap<EchoStream>(world));
    return kj::READY_NOW;
  }
  kj::Promise<void> acceptStream(AcceptStreamContext) override {
    world.accepted++;
    return world.broken.addBranch();
  }

 private:
  World& world;
};

class FakeBus final : public idl::DSoftBus::Server {
 public:
  explicit FakeBus(World& world) : world(world) {}
  kj::Promise<void> session(SessionContext context) override {
    auto outcome = world.up ? idl::DSoftBus::Outcome::OK : idl::DSoftBus::Outcome::UNREACHABLE;
    context.getResults().setOutcome(outcome);
    if (world.up) context.getResults().setSession(kj::heap<FakeSession>(world));
    return kj::READY_NOW;
  }

 private:
  World& world;
};

class FakeSupervisor final : public idl::Supervisor::Server {
 public:
  FakeSupervisor(World& world, kj::Timer& timer) : world(world), timer(timer) {}
  kj::Promise<void> order(OrderContext context) override {
    auto after = context.getParams().getAfter();
    while (world.orders.size() <= after) co_await timer.afterDelay(5 * MS);
    context.getResults().setOrder(world.orders[after]);
  }
  kj::Promise<void> tell(TellContext context) override {
    world.told.add(kj::str(context.getParams().getMessage()));
    return kj::READY_NOW;
  }

 private:
  World& world;
  kj::Timer& timer;
};

struct Fixture {
  SimClock clock;
  World world;
  kj::Vector<StatusTraffic> soaks;
  Traffic traffic{"node-a",
                  "node-b",
                  [this]() -> idl::DSoftBus::Client { return kj::heap<FakeBus>(world); },
                  [this]() -> idl::Supervisor::Client { return kj::heap<FakeSupervisor>(world, clock.timer); },
                  clock.timer,
                  [this](const StatusTraffic& soak) -> kj::Promise<void> {
                    soaks.add(soak);
                    return kj::READY_NOW;
                  }};

  void order(kj::StringPtr text) {
    world.orders.add(kj::str(text));
    clock.advance(10 * MS);
  }
  kj::uint count(kj::StringPtr prefix) {
    kj::uint n = 0;
    for (auto& line : world.told) n += line.startsWith(prefix);
    return n;
  }
};

TEST_CASE("calls keep below the peer's rate, streams carry content, and a soak is counted from order to order") {
  Fixture f;
  auto running = f.traffic.run().eagerlyEvaluate(nullptr);
  f.clock.advance(1000 * MS);
  f.order("soak-begin");
  f.clock.advance(2000 * MS);
  f.order("soak-end");
  REQUIRE(f.soaks.size() == 1);
  CHECK(f.soaks[0].calls >= 70);
  CHECK(f.soaks[0].calls <= 85);  // 40 a second
  CHECK(f.soaks[0].streamed >= 50 * Traffic::ROUND_BYTES);
  CHECK((soakFault(f.soaks[0]) == nullptr));
  CHECK(f.count("traffic ") >= 5);
  f.order("end");
  f.clock.run(kj::mv(running));
}

TEST_CASE("after the session has ended, calls and the stream are taken up again and the harness is told when") {
  Fixture f;
  auto running = f.traffic.run().eagerlyEvaluate(nullptr);
  f.clock.advance(500 * MS);
  f.order("arm 4");
  CHECK(f.count("chaos 4 armed") == 1);
  f.world.fail();
  f.order("go 4");
  f.clock.advance(1000 * MS);
  CHECK(f.count("chaos 4 ") == 1);
  CHECK(f.traffic.result().total().failed > 0);
  CHECK(f.traffic.result().total().breaks == 1);
  f.world.heal();
  f.clock.advance(500 * MS);
  CHECK(f.count("chaos 4 call 1") == 1);  // a second and something
  CHECK(f.count("chaos 4 stream 1") == 1);
  CHECK(f.world.opened == 2);
  CHECK((f.traffic.result().pending() == nullptr));
  f.order("end");
  f.clock.run(kj::mv(running));
}

TEST_CASE("a service that does not answer holds up no call to the others, and its own are given up in time") {
  Fixture f;
  f.world.silent = "samgrd"_kj;
  auto running = f.traffic.run().eagerlyEvaluate(nullptr);
  f.clock.advance(Traffic::CALL_LIMIT - 1 * MS);
  CHECK(f.traffic.result().total().failed == 0);
  CHECK(f.traffic.result().total().calls >= 80);  // three of four services: 30 a second
  f.clock.advance(10 * MS);
  CHECK(f.traffic.result().total().failed == 1);
}

TEST_CASE("other bytes than went break the stream") {
  Fixture f;
  auto running = f.traffic.run().eagerlyEvaluate(nullptr);
  f.clock.advance(300 * MS);
  f.world.spoils = true;
  f.clock.advance(100 * MS);
  CHECK(f.traffic.result().total().breaks > 0);
}

TEST_CASE("a soak without calls, with a failed one, without a stream or with a broken one has a fault") {
  CHECK((soakFault({1, 0, 1, 0}) == nullptr));
  for (auto soak :
       {StatusTraffic{0, 0, 1, 0}, StatusTraffic{1, 1, 1, 0}, StatusTraffic{1, 0, 0, 0}, StatusTraffic{1, 0, 1, 1}})
    CHECK(soakFault(soak) != nullptr);
}

}  // namespace
}  // namespace nexus
