#include "daemons/initd/supervision.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

constexpr Service SERVICES[] = {
    {.name = "driver"_kj, .binary = "/bin/driver"_kj, .uid = 1, .exports = {}, .imports = {}, .device = true},
    {.name = "stack"_kj, .binary = "/bin/stack"_kj, .uid = 2, .exports = {}, .imports = {}},
    {.name = "test"_kj, .binary = "/bin/test"_kj, .uid = 3, .exports = {}, .imports = {}, .oneShot = true},
};

// A machine without processes: hands out numbers, remembers what it was asked, refuses when told to.
struct Node final : ServiceHost, SupervisionObserver {
  SimClock clock;
  pid_t nextPid = 100;
  kj::Maybe<kj::String> refusal;
  kj::Vector<kj::String> events;
  kj::Vector<pid_t> killed;
  Supervision supervision{clock.timer, *this, *this, SERVICES};

  kj::OneOf<pid_t, StartRefused> start(const Service&) override {
    KJ_IF_MAYBE (reason, refusal) return StartRefused{kj::heapString(*reason)};
    return nextPid++;
  }
  void kill(pid_t pid) override { killed.add(pid); }

  void started(const Service& service, pid_t pid, uint32_t starts) override {
    events.add(kj::str("start ", service.name, ' ', pid, ' ', starts));
  }
  void refused(const Service& service, kj::StringPtr reason) override {
    events.add(kj::str("refused ", service.name, ' ', reason));
  }
  void exited(const Service& service, const ExitStatus& status) override {
    events.add(kj::str("exit ", service.name, ' ', status.text()));
  }
  void waiting(const Service& service, kj::Duration delay) override {
    events.add(kj::str("wait ", service.name, ' ', delay / kj::MILLISECONDS));
  }

  kj::String take() {
    clock.settle();
    auto all = kj::strArray(events, "; ");
    events.clear();
    return all;
  }
  pid_t pidOf(kj::uint index) { return supervision.snapshot()[index].pid; }
};

constexpr ExitStatus CRASH{true, 11};
constexpr ExitStatus DONE{false, 0};

TEST_CASE("services are started once each, in the order of the table") {
  Node node;
  node.supervision.startAll();
  CHECK(node.take() == "start driver 100 1; start stack 101 1; start test 102 1");
}

TEST_CASE("a service that lived long enough is started again at once") {
  Node node;
  node.supervision.startAll();
  node.take();
  node.clock.advance(1 * kj::SECONDS);
  CHECK(node.supervision.exited(100, CRASH));
  CHECK(node.take() == "exit driver signal 11; start driver 103 2");
}

TEST_CASE("a service that dies young waits twice as long each time, up to the limit, and no longer after a good life") {
  Node node;
  node.supervision.startAll();
  node.take();
  for (int expected : {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}) {
    CAPTURE(expected);
    node.supervision.exited(node.pidOf(1), ExitStatus{false, 3});
    CHECK(node.take() == kj::str("exit stack exit 3; wait stack ", expected));
    node.clock.advance(expected * kj::MILLISECONDS - 1 * kj::NANOSECONDS);
    CHECK(node.take() == "");
    node.clock.advance(1 * kj::NANOSECONDS);
    CHECK(node.take().startsWith("start stack "));
  }
  node.clock.advance(1 * kj::SECONDS);
  node.supervision.exited(node.pidOf(1), CRASH);
  CHECK(node.take().startsWith("exit stack signal 11; start stack"));
  node.supervision.exited(node.pidOf(1), CRASH);
  CHECK(node.take() == "exit stack signal 11; wait stack 100");
}

TEST_CASE("one service's back-off does not hold up another") {
  Node node;
  node.supervision.startAll();
  node.take();
  node.supervision.exited(100, CRASH);
  node.clock.advance(50 * kj::MILLISECONDS);
  node.supervision.exited(101, CRASH);
  node.take();
  node.clock.advance(50 * kj::MILLISECONDS);
  CHECK(node.take() == "start driver 103 2");
  node.clock.advance(50 * kj::MILLISECONDS);
  CHECK(node.take() == "start stack 104 2");
}

TEST_CASE("a start that is refused is tried again with back-off, and does not count as a start") {
  Node node;
  node.refusal = kj::str("no IOMMU");
  node.supervision.startAll();
  CHECK(node.take() ==
        "refused driver no IOMMU; wait driver 100; refused stack no IOMMU; wait stack 100; refused test no IOMMU; wait "
        "test 100");
  CHECK(node.supervision.snapshot()[0].starts == 0);
  CHECK(node.supervision.snapshot()[0].lastExit == "refused: no IOMMU");
  node.clock.advance(100 * kj::MILLISECONDS);
  node.take();
  node.refusal = nullptr;
  node.clock.advance(200 * kj::MILLISECONDS);
  CHECK(node.take() == "start driver 100 1; start stack 101 1; start test 102 1");
}

TEST_CASE("what runs once is not started again") {
  Node node;
  node.supervision.startAll();
  node.take();
  CHECK(node.supervision.exited(102, DONE));
  CHECK(node.take() == "exit test exit 0");
  node.clock.advance(60 * kj::SECONDS);
  CHECK(node.take() == "");
  CHECK(node.supervision.snapshot()[2].pid == 0);
}

TEST_CASE("a service that is to stay ended is started the first time and never again") {
  Node node;
  CHECK(node.supervision.leaveEnded("stack"));
  CHECK_FALSE(node.supervision.leaveEnded("nobody"));
  node.supervision.startAll();
  node.take();
  node.clock.advance(2 * kj::SECONDS);
  CHECK(node.supervision.exited(101, CRASH));
  CHECK(node.supervision.exited(100, CRASH));
  node.clock.advance(60 * kj::SECONDS);
  CHECK(node.take() == "exit stack signal 11; exit driver signal 11; start driver 103 2");
}

TEST_CASE("an orphan that was reaped is none of our services") {
  Node node;
  node.supervision.startAll();
  node.take();
  CHECK_FALSE(node.supervision.exited(4711, DONE));
  CHECK_FALSE(node.supervision.exited(0, DONE));
  CHECK(node.supervision.exited(100, DONE));
  CHECK_FALSE(node.supervision.exited(100, DONE));
}

TEST_CASE("kill reaches the running process only; the restart is that of any death") {
  Node node;
  node.supervision.startAll();
  node.take();
  node.clock.advance(2 * kj::SECONDS);
  CHECK(node.supervision.kill("driver"));
  CHECK_FALSE(node.supervision.kill("nobody"));
  REQUIRE(node.killed.size() == 1);
  CHECK(node.killed[0] == 100);
  node.supervision.exited(100, ExitStatus{true, 9});
  CHECK(node.take() == "exit driver signal 9; start driver 103 2");
  node.supervision.exited(103, CRASH);
  CHECK(node.supervision.kill("driver"));  // between two lives: nothing to kill
  CHECK(node.killed.size() == 1);
}

TEST_CASE("after stopAll everything is killed and nothing is started, not even what was waiting for its start") {
  Node node;
  node.supervision.startAll();
  node.supervision.exited(101, CRASH);
  node.take();
  node.supervision.stopAll();
  CHECK(node.killed.size() == 2);
  node.supervision.exited(100, ExitStatus{true, 9});
  node.clock.advance(60 * kj::SECONDS);
  CHECK(node.take() == "exit driver signal 9");
}

TEST_CASE("whenRestarted answers at once for the past and waits for the future") {
  Node node;
  node.supervision.startAll();
  CHECK(node.clock.run(node.supervision.whenRestarted("driver", 0)) == 1);
  auto restarted = node.supervision.whenRestarted("driver", 1);
  auto later = node.supervision.whenRestarted("driver", 2);
  CHECK_FALSE(restarted.poll(node.clock.waitScope));
  node.supervision.exited(100, CRASH);
  CHECK(node.clock.run(kj::mv(restarted)) == 2);
  CHECK_FALSE(later.poll(node.clock.waitScope));
  CHECK_THROWS_AS(node.supervision.whenRestarted("nobody", 0), kj::Exception);
}

TEST_CASE("at most sixteen calls wait for a restart; one that gives up makes room") {
  Node node;
  node.supervision.startAll();
  kj::Vector<kj::Promise<uint32_t>> waiting;
  for (int i = 0; i < 16; i++) waiting.add(node.supervision.whenRestarted("driver", 1));
  auto one = node.supervision.whenRestarted("driver", 1);
  REQUIRE(one.poll(node.clock.waitScope));
  try {
    one.wait(node.clock.waitScope);
    FAIL("the seventeenth was taken");
  } catch (const kj::Exception& e) {
    CHECK(e.getType() == kj::Exception::Type::OVERLOADED);
  }
  waiting.removeLast();
  auto another = node.supervision.whenRestarted("driver", 1);
  CHECK_FALSE(another.poll(node.clock.waitScope));
  node.supervision.exited(100, CRASH);
  CHECK(node.clock.run(kj::mv(another)) == 2);
}

TEST_CASE("a wait status becomes the text of the status channel") {
  CHECK(ExitStatus::fromWait(3 << 8).text() == "exit 3");
  CHECK(ExitStatus::fromWait(9).text() == "signal 9");
  CHECK(ExitStatus::fromWait(0).ok());
  CHECK_FALSE(ExitStatus::fromWait(1 << 8).ok());
  CHECK_FALSE(ExitStatus::fromWait(9).ok());
}

}  // namespace
}  // namespace nexus
