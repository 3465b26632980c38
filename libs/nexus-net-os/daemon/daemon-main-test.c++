#include "libs/nexus-net-os/daemon/daemon-main.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "idl/config.capnp.h"
#include "idl/status.capnp.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

void say(kj::StringPtr line) {
  KJ_ASSERT(write(STDOUT_FILENO, line.begin(), line.size()) == ssize_t(line.size()));
}

class TestStatus final : public idl::Status::Server {
 public:
  explicit TestStatus(kj::StringPtr detail) : detail(kj::str(detail)) {}
  ~TestStatus() noexcept(false) {
    if (detail == "served") say("client gone\n");
  }
  kj::Promise<void> snapshot(SnapshotContext context) override {
    context.getResults().initStatus().setDetail(detail);
    return kj::READY_NOW;
  }

 private:
  kj::String detail;
};

// The daemon under test: serves its configured address as its status, or ends with what its import said, or fails.
kj::Promise<void> runTestDaemon(DaemonContext& context, config::Netstackd::Reader config) {
  KJ_REQUIRE(config.getAddress() != "fail", "told to fail");
  readSettings([&] { KJ_REQUIRE(config.getAddress() != "wrong", "address: this one is wrong"); });
  if (config.getAddress() == "import") context.import("nic");
  if (context.hasImport("upstream")) {
    auto upstream = co_await context.import("upstream").get<idl::Status>().snapshotRequest().send();
    KJ_FAIL_REQUIRE("upstream said", upstream.getStatus().getDetail());
  }
  auto detail = kj::str(config.getAddress());
  KJ_DEFER(if (config.getAddress() == "served") say("daemon gone\n"));
  context.serve("status", [detail = kj::mv(detail)](const PeerCredentials&) -> capnp::Capability::Client {
    return kj::heap<TestStatus>(detail);
  });
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

// A daemon in a process of its own, with its standard error caught.
class Child {
 public:
  // `setUp` runs in the child before main.
  explicit Child(kj::Vector<const char*> args, kj::Function<void()> setUp = [] {}) {
    int ends[2];
    KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
    KJ_SYSCALL(pid = fork());
    if (pid == 0) {
      dup2(ends[1], STDERR_FILENO);
      dup2(ends[1], STDOUT_FILENO);
      setUp();
      kj::Vector<char*> argv;
      argv.add(const_cast<char*>("netstackd"));
      for (auto arg : args) argv.add(const_cast<char*>(arg));
      argv.add(nullptr);
      _exit(
          daemonMain<config::Netstackd>(argv.size() - 1, argv.begin(), {"netstackd", "a test daemon"}, runTestDaemon));
    }
    close(ends[1]);
    errors = kj::AutoCloseFd(ends[0]);
  }
  ~Child() {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
  }

  void terminate() { kill(pid, SIGTERM); }

  // The exit status; 128 + N for signal N.
  int wait() {
    char buffer[4096];
    ssize_t n;
    while ((n = read(errors, buffer, sizeof(buffer))) > 0) output.append(buffer, n);
    int status;
    KJ_SYSCALL(waitpid(pid, &status, 0));
    pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string output;

 private:
  pid_t pid;
  kj::AutoCloseFd errors;
};

// Where each test keeps its configuration and its sockets.
struct Files : TemporaryFolder {
  Files() : TemporaryFolder(For::SOCKETS) {}
  kj::String writeConfig(kj::StringPtr text) const { return write("config.toml", text); }
};

template <typename... Args>
kj::Vector<const char*> args(Args... a) {
  kj::Vector<const char*> result;
  (result.add(a), ...);
  return result;
}

TEST_CASE("wrong options and endpoints end with status 2 and say what was expected") {
  Child unknown(args("--no-such-option"));
  CHECK(unknown.wait() == 2);
  Child malformed(args("--import", "nic"));
  CHECK(malformed.wait() == 2);
  CHECK(malformed.output == "netstackd: --import nic: expected NAME=unix:PATH or NAME=fd:NUMBER\n");
}

TEST_CASE("--help and --version end with status 0") {
  CHECK(Child(args("--help")).wait() == 0);
  Child version(args("--version"));
  CHECK(version.wait() == 0);
  CHECK(version.output.find("nexus-net") != std::string::npos);
}

TEST_CASE("a bad configuration ends with status 8 and its place, a good one passes --check") {
  Files files;
  auto bad = files.writeConfig("[netstackd]\nadress = \"x\"\n");
  Child child(args("--config", bad.cStr()));
  CHECK(child.wait() == 8);
  CHECK(child.output.find("config.toml:2:1: unknown key \"adress\"") != std::string::npos);
  auto good = files.writeConfig("[netstackd]\naddress = \"fail\"\n");
  CHECK(Child(args("--check", "--config", good.cStr())).wait() == 0);
}

TEST_CASE("a daemon that fails ends with status 1 and one sentence without a stack trace") {
  Files files;
  auto path = files.writeConfig("[netstackd]\naddress = \"fail\"\n");
  Child child(args("--config", path.cStr()));
  CHECK(child.wait() == 1);
  CHECK(child.output.find("told to fail") != std::string::npos);
  CHECK(child.output.find("stack:") == std::string::npos);
  CHECK(std::count(child.output.begin(), child.output.end(), '\n') == 1);
}

TEST_CASE("a wrong value that the daemon itself finds ends with status 8, a missing import with 2") {
  Files files;
  auto wrong = files.writeConfig("[netstackd]\naddress = \"wrong\"\n");
  Child value(args("--config", wrong.cStr()));
  CHECK(value.wait() == 8);
  CHECK(value.output == "netstackd: address: this one is wrong\n");
  auto needs = files.writeConfig("[netstackd]\naddress = \"import\"\n");
  Child import(args("--config", needs.cStr()));
  CHECK(import.wait() == 2);
  CHECK(import.output.find("the import \"nic\" is missing: give --import nic=unix:PATH") != std::string::npos);
}

TEST_CASE("an export is not taken away from a process that serves it, and what a dead one left is replaced") {
  Files files;
  auto path = files.file("taken.sock");
  auto given = kj::str("status=unix:", path);
  auto failing = files.writeConfig("[netstackd]\naddress = \"fail\"\n");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.cStr(), sizeof(address.sun_path) - 1);
  {
    int fd;
    KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    kj::AutoCloseFd living(fd);
    KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    KJ_SYSCALL(listen(fd, 8));
    Child second(args("--config", failing.cStr(), "--export", given.cStr()));
    CHECK(second.wait() == 1);
    CHECK(second.output.find("another process serves at this path") != std::string::npos);
  }
  Child next(args("--config", failing.cStr(), "--export", given.cStr()));
  CHECK(next.wait() == 1);
  CHECK(next.output.find("told to fail") != std::string::npos);
  auto nowhere = kj::str("status=unix:", files.file("none/x.sock"));
  Child bad(args("--export", nowhere.cStr()));
  CHECK(bad.wait() == 1);
  CHECK(bad.output.find("nothing can be served at this path") != std::string::npos);
}

TEST_CASE("an export serves on its path, for its owner alone, and SIGTERM ends with status 0") {
  Files files;
  auto socketPath = files.file("net.sock");
  auto config = files.writeConfig("[netstackd]\naddress = \"served\"\n");
  // The socket is inherited, so that the connection waits in its backlog until the daemon accepts.
  Child child(args("--config", config.cStr()), [&] {
    int fd;
    KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, socketPath.cStr(), sizeof(address.sun_path) - 1);
    KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    KJ_SYSCALL(listen(fd, 8));
    KJ_SYSCALL(dup2(fd, 3));
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "status", 1);
  });
  auto io = kj::setupAsyncIo();
  // Connecting is refused until the child has bound: the import then connects anew at the next call.
  CapReconnect import(unixConnector(io.provider->getNetwork(), socketPath));
  for (;;) {
    auto failure = kj::runCatchingExceptions([&] {
      auto reply = import.get<idl::Status>().snapshotRequest().send().wait(io.waitScope);
      CHECK(reply.getStatus().getDetail() == "served");
    });
    if (failure == nullptr) break;
    import.whenLost().wait(io.waitScope);
  }
  child.terminate();
  CHECK(child.wait() == 0);
  // What a client holds may refer to the daemon until its last moment.
  CHECK(child.output == "client gone\ndaemon gone\n");
}

TEST_CASE("an inherited connected socket is an import") {
  int ends[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  CapServer server(
      [](const PeerCredentials&) -> capnp::Capability::Client { return kj::heap<TestStatus>("from the test"); });
  Child child(args("--import", "upstream=fd:3"), [&] { KJ_SYSCALL(dup2(ends[1], 3)); });
  close(ends[1]);
  auto io = kj::setupAsyncIo();
  server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::AutoCloseFd(ends[0])));
  auto ended = kj::evalLater([&] { return server.connectionCount(); });
  CHECK(ended.wait(io.waitScope) == 1);
  // The child's end of the socket closes when the child ends, after it was answered.
  while (server.connectionCount() > 0) io.waitScope.poll(), kj::evalLast([] {}).wait(io.waitScope);
  CHECK(child.wait() == 1);
  CHECK(child.output.find("from the test") != std::string::npos);
}

}  // namespace
}  // namespace nexus
