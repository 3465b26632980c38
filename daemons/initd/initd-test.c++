// The whole of initd but its first steps as PID 1: real processes, sockets and signals, without root. What the harness
// orders comes over the status channel; the time by which services are started again is virtual.
#include "daemons/initd/initd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "libs/nexus-net-os/testing/temporary-folder.h"
#include "libs/nexus-net-os/vfio/vfio-kernel.h"

namespace nexus {
namespace {

constexpr ServiceExport PING_EXPORTS[] = {{"ping"_kj, 1234}};
constexpr ServiceImport SELFTEST_IMPORTS[] = {{"supervisor"_kj, "supervisor"_kj}};

// A machine without a network device.
class EmptySysfs final : public Sysfs {
 public:
  kj::Maybe<kj::String> read(kj::StringPtr) override { return nullptr; }
  void write(kj::StringPtr path, kj::StringPtr) override { KJ_FAIL_REQUIRE("no such attribute", path); }
  kj::Maybe<kj::String> linkName(kj::StringPtr) override { return nullptr; }
  kj::Array<kj::String> list(kj::StringPtr) override { return nullptr; }
};

struct Folder : TemporaryFolder {
  Folder() : TemporaryFolder(For::SOCKETS) { KJ_SYSCALL(mkdir(file("unit-a").cStr(), 0700)); }
};

kj::AsyncIoContext setUp() {
  kj::UnixEventPort::captureSignal(SIGCHLD);
  return kj::setupAsyncIo();
}

// A node of the given services, and the harness at the other end of its status channel.
class Node {
 public:
  explicit Node(kj::ArrayPtr<const kj::StringPtr> names) {
    args.profile = kj::str("unit");
    args.node = kj::str("a");
    for (auto name : names) {
      bool selftest = name == "selftest";
      services.add(Service{.name = name,
                           .binary = program,
                           .uid = 1234,
                           .exports = name == "ping" ? PING_EXPORTS : kj::ArrayPtr<const ServiceExport>(nullptr),
                           .imports = selftest ? SELFTEST_IMPORTS : kj::ArrayPtr<const ServiceImport>(nullptr),
                           .device = name == "driver",
                           .oneShot = name == "oneshot"});
    }
  }

  ~Node() noexcept(false) {
    // Whatever still runs is killed and reaped, so that the next test has no children but its own.
    if (running != nullptr) send("poweroff");
    if (running != nullptr) KJ_ASSERT_NONNULL(running).wait(io.waitScope);
    initd = nullptr;
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }

  void boot() {
    int ends[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    port.emplace(io.lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(ends[0])));
    harness = io.lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(ends[1]));
    initd = kj::heap<Initd>(io, timer, kj::mv(args), services, devices, port,
                            NodeGround{folder.path(), folder.path(), false});
    running = initd->run().eagerlyEvaluate([](kj::Exception&& e) { FAIL_CHECK(std::string(kj::str(e).cStr())); });
  }

  void send(kj::StringPtr command) {
    auto line = kj::str(command, '\n');
    harness->write(line.begin(), line.size()).wait(io.waitScope);
  }

  // The next line that initd tells the harness; waits for it.
  kj::String line() {
    kj::Vector<char> text;
    for (;;) {
      char c;
      harness->read(&c, 1).wait(io.waitScope);
      if (c == '\n') break;
      text.add(c);
    }
    return kj::heapString(text.asPtr());
  }
  bool isSilent() {
    io.waitScope.poll();
    char c;
    auto next = harness->tryRead(&c, 1, 1);
    return !next.poll(io.waitScope);
  }

  // Asks at the socket of the service `ping` who serves it; whoever does, now or later, says its process number.
  kj::Promise<kj::String> ask() {
    auto path = kj::str("unix:", folder.path(), "/ping.sock");
    auto address = io.provider->getNetwork().parseAddress(path).wait(io.waitScope);
    auto client = address->connect().wait(io.waitScope);
    auto answer = client->readAllText();
    return answer.attach(kj::mv(client));
  }
  kj::String askNow() { return ask().wait(io.waitScope); }

  void advance(kj::Duration duration) { timer.advanceTo(timer.now() + duration); }

  kj::AsyncIoContext io = setUp();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  Folder folder;
  KernelArgs args;
  kj::String program = kj::heapString(realpath("daemons/initd/fake-service", absolute));
  kj::Vector<Service> services;
  kj::Own<VfioKernel> vfio = newSystemVfioKernel();  // never asked: there is no device
  EmptySysfs sysfs;
  DeviceLender devices{*io.lowLevelProvider, *vfio, sysfs};
  kj::Maybe<StatusPort> port;
  kj::Own<kj::AsyncIoStream> harness;
  kj::Own<Initd> initd;
  kj::Maybe<kj::Promise<void>> running;

 private:
  char absolute[PATH_MAX];
};

TEST_CASE("what the harness orders to be killed is killed, reaped, told and started again with the same sockets") {
  Node node(kj::arr("ping"_kj, "other"_kj, "selftest"_kj));
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service other start");
  CHECK(node.line() == "service selftest start");
  auto first = node.askNow();
  CHECK(first.size() > 1);
  CHECK(first == node.askNow());
  node.advance(2 * kj::SECONDS);  // it has lived long enough to be started again at once
  node.send("kill ping");
  CHECK(node.line() == "service ping exit signal 9");
  CHECK(node.line() == "service ping start");
  auto second = node.askNow();
  CHECK(second.size() > 1);
  CHECK(second != first);
  CHECK(node.isSilent());  // nobody else was touched
}

TEST_CASE("a client that connects between two lives of a service is served by the next one") {
  Node node(kj::arr("ping"_kj, "selftest"_kj));
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service selftest start");
  auto first = node.askNow();
  node.send("kill ping");  // young: the next life waits for its delay
  CHECK(node.line() == "service ping exit signal 9");
  auto answer = node.ask();
  node.advance(99 * kj::MILLISECONDS);
  CHECK(node.isSilent());
  CHECK_FALSE(answer.poll(node.io.waitScope));
  node.advance(1 * kj::MILLISECONDS);
  CHECK(node.line() == "service ping start");
  auto second = answer.wait(node.io.waitScope);
  CHECK(second.size() > 1);
  CHECK(second != first);
}

TEST_CASE("a service that ends by itself is started again like one that was killed") {
  Node node(kj::arr("ping"_kj, "selftest"_kj));
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service selftest start");
  auto first = node.askNow();
  node.advance(2 * kj::SECONDS);
  KJ_SYSCALL(kill(atoi(first.cStr()), SIGTERM));
  CHECK(node.line() == "service ping exit signal 15");
  CHECK(node.line() == "service ping start");
  CHECK(node.askNow() != first);
}

TEST_CASE("a kill that the kernel command line orders comes that long after the first start, once") {
  Node node(kj::arr("ping"_kj, "selftest"_kj));
  node.args.kill = KernelArgs::Kill{kj::str("ping"), 1500};
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service selftest start");
  node.advance(1499 * kj::MILLISECONDS);
  CHECK(node.isSilent());
  node.advance(1 * kj::MILLISECONDS);
  CHECK(node.line() == "service ping exit signal 9");
  CHECK(node.line() == "service ping start");
  node.advance(60 * kj::SECONDS);
  CHECK(node.isSilent());
}

TEST_CASE("a service that is to stay ended is not started again") {
  Node node(kj::arr("ping"_kj, "selftest"_kj));
  node.args.once = kj::str("ping");
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service selftest start");
  node.advance(2 * kj::SECONDS);
  node.send("kill ping");
  CHECK(node.line() == "service ping exit signal 9");
  node.advance(60 * kj::SECONDS);
  CHECK(node.isSilent());
}

TEST_CASE("a driver without a device is refused with the reason, and tried again later and later") {
  Node node(kj::arr("driver"_kj));
  node.boot();
  auto refused = "service driver exit refused: this machine has no virtio network device"_kj;
  CHECK(node.line().startsWith(refused));
  CHECK(node.isSilent());
  node.advance(100 * kj::MILLISECONDS);
  CHECK(node.line().startsWith(refused));
  node.advance(199 * kj::MILLISECONDS);
  CHECK(node.isSilent());
  node.advance(1 * kj::MILLISECONDS);
  CHECK(node.line().startsWith(refused));
}

TEST_CASE("the end of the selftest is the result of the node, which then waits for the harness to end it") {
  Node node(kj::arr("ping"_kj, "oneshot"_kj));
  node.boot();
  CHECK(node.line() == "service ping start");
  CHECK(node.line() == "service oneshot start");
  CHECK(node.line() == "service oneshot exit exit 7");
  CHECK(node.line() == "exit 7");
  auto alive = node.askNow();
  CHECK(alive.size() > 1);
  CHECK_FALSE(KJ_ASSERT_NONNULL(node.running).poll(node.io.waitScope));
  node.send("poweroff");
  KJ_ASSERT_NONNULL(node.running).wait(node.io.waitScope);
  node.running = nullptr;
  int status;
  REQUIRE(waitpid(atoi(alive.cStr()), &status, 0) > 0);
  CHECK(ExitStatus::fromWait(status).text() == "signal 9");
}

TEST_CASE("an image without a selftest obeys no order to kill") {
  Node node(kj::arr("ping"_kj));
  node.boot();
  CHECK(node.line() == "service ping start");
  auto first = node.askNow();
  node.send("kill ping");
  CHECK(node.isSilent());
  CHECK(node.askNow() == first);
}

}  // namespace
}  // namespace nexus
