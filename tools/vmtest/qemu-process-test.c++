#include "tools/vmtest/qemu-process.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nexus::vmtest {
namespace {

kj::Vector<kj::String> command(std::initializer_list<kj::StringPtr> words) {
  kj::Vector<kj::String> out;
  for (auto word : words) out.add(kj::str(word));
  return out;
}

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::AutoCloseFd log{open("/dev/null", O_WRONLY | O_CLOEXEC)};
  kj::Own<QemuProcess> start(std::initializer_list<kj::StringPtr> words, kj::ArrayPtr<const int> fds = nullptr) {
    return kj::heap<QemuProcess>(io.unixEventPort, command(words), fds, log.get());
  }
};

TEST_CASE("the end of a process is noticed with its status") {
  Fixture f;
  CHECK(f.start({"sh", "-c", "exit 3"})->whenEnded().wait(f.io.waitScope) == "exit 3");
  CHECK(f.start({"sh", "-c", "kill -TERM $$"})->whenEnded().wait(f.io.waitScope) == "signal 15");
  CHECK(f.start({"/does/not/exist"})->whenEnded().wait(f.io.waitScope) == "exit 127");
}

TEST_CASE("a process that was asked twice tells twice") {
  Fixture f;
  auto process = f.start({"true"});
  CHECK(process->whenEnded().wait(f.io.waitScope) == "exit 0");
  CHECK(process->whenEnded().wait(f.io.waitScope) == "exit 0");
  CHECK(process->ended());
}

TEST_CASE("dropping the object kills the process and leaves no zombie") {
  Fixture f;
  pid_t pid;
  {
    auto process = f.start({"sleep", "1000"});
    pid = process->pid();
    CHECK(::kill(pid, 0) == 0);
    CHECK(!process->whenEnded().poll(f.io.waitScope));
  }
  CHECK(::kill(pid, 0) == -1);
  CHECK(errno == ESRCH);
}

TEST_CASE("the process has the inherited descriptor under its number and no other one") {
  Fixture f;
  auto pair = pipePair(65536);
  auto secret = pipePair(65536);
  int fds[] = {pair.theirs.get()};
  auto script = kj::str("echo hello >&", pair.theirs.get(), "; { echo leak >&", secret.theirs.get(),
                        "; } 2>/dev/null && exit 9; exit 0");
  CHECK(f.start({"sh", "-c", script}, fds)->whenEnded().wait(f.io.waitScope) == "exit 0");
  char buffer[16];
  CHECK(read(pair.ours.get(), buffer, sizeof(buffer)) == 6);
}

TEST_CASE("when the harness is killed the kernel kills its process") {
  auto report = pipePair(65536);
  // A harness of its own in a child, so that it can be killed hard.
  pid_t harness = fork();
  REQUIRE(harness >= 0);
  if (harness == 0) {
    Fixture f;
    int fds[] = {report.theirs.get()};
    auto process = f.start({"sh", "-c", kj::str("echo up >&", report.theirs.get(), "; exec sleep 1000")}, fds);
    report.theirs = nullptr;
    process->whenEnded().wait(f.io.waitScope);
    _exit(0);
  }
  report.theirs = nullptr;
  char buffer[16];
  REQUIRE(read(report.ours.get(), buffer, sizeof(buffer)) == 3);
  ::kill(harness, SIGKILL);
  REQUIRE(waitpid(harness, nullptr, 0) == harness);
  // The pipe's last writer is the sleeping process: end of file is its death.
  CHECK(read(report.ours.get(), buffer, sizeof(buffer)) == 0);
}

}  // namespace
}  // namespace nexus::vmtest
