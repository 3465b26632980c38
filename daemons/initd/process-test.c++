// Needs root: users, capabilities and namespaces are what is tested. //daemons/initd:process-test is tagged so.
#include "daemons/initd/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace nexus {
namespace {

// Runs a shell line as `spec` says, with descriptor 3 as a pipe back to us; what it wrote there.
struct Ran {
  std::string output;
  int waitStatus;
};

Ran run(kj::StringPtr line, kj::Maybe<ServiceUid> uid, bool ownNetwork, kj::ArrayPtr<const NamedFd> more = nullptr) {
  int pipeFds[2];
  KJ_SYSCALL(pipe2(pipeFds, O_CLOEXEC));
  kj::AutoCloseFd readEnd(pipeFds[0]), writeEnd(pipeFds[1]);
  kj::Vector<NamedFd> fds;
  fds.add(NamedFd{"out"_kj, writeEnd});
  fds.addAll(more);
  kj::String arguments[] = {kj::str("-c"), kj::heapString(line)};
  ProcessSpec spec{.binary = "/bin/sh"_kj,
                   .arguments = arguments,
                   .fds = fds,
                   .uid = uid,
                   .ownNetwork = ownNetwork,
                   .openFiles = 64};
  auto started = startProcess(spec);
  if (started.is<StartRefused>()) FAIL(started.get<StartRefused>().reason.cStr());
  writeEnd = nullptr;
  Ran ran;
  char buffer[4096];
  for (;;) {
    ssize_t n;
    KJ_SYSCALL(n = read(readEnd, buffer, sizeof(buffer)));
    if (n == 0) break;
    ran.output.append(buffer, n);
  }
  KJ_SYSCALL(waitpid(started.get<pid_t>(), &ran.waitStatus, 0));
  return ran;
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the program runs as its own user and group, without supplementary groups") {
  auto ran = run("cat /proc/self/status >&3", 4242u, true);
  CHECK(ran.waitStatus == 0);
  CHECK(has(ran.output, "Uid:\t4242\t4242\t4242\t4242\n"));
  CHECK(has(ran.output, "Gid:\t4242\t4242\t4242\t4242\n"));
  CHECK((has(ran.output, "Groups:\t\n") || has(ran.output, "Groups:\t \n")));
}

TEST_CASE("every capability set is empty, the bounding set too, and no privilege can be gained") {
  auto ran = run("cat /proc/self/status >&3", 4242u, true);
  for (auto set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CAPTURE(set);
    CHECK(has(ran.output, kj::str(set, ":\t0000000000000000\n").cStr()));
  }
  CHECK(has(ran.output, "NoNewPrivs:\t1\n"));
  CHECK(has(ran.output, "SigBlk:\t0000000000000000\n"));
}

TEST_CASE("the network namespace holds nothing but a loopback that is down") {
  auto ran = run("cat /proc/net/dev >&3; cat /proc/net/route >&3", 4242u, true);
  size_t lines = 0;
  for (char c : ran.output) lines += c == ':';
  CHECK(lines == 1);
  CHECK(has(ran.output, "lo:"));
}

TEST_CASE("descriptors come in order under their names, and nothing else is open") {
  int pipeFds[2];
  KJ_SYSCALL(pipe(pipeFds));  // not close-on-exec: must be closed all the same
  kj::AutoCloseFd a(pipeFds[0]), b(pipeFds[1]);
  NamedFd more[] = {{"first"_kj, a}, {"second"_kj, b}};
  auto ran =
      run("echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)) >&3; for fd in 4 5 6 7 8 9 20; do readlink "
          "/proc/self/fd/$fd "
          ">&3 || echo $fd closed >&3; done",
          nullptr, true, more);
  CHECK(has(ran.output, "3 out:first:second 0\npipe:["));
  for (auto closed : {"6 closed", "7 closed", "8 closed", "9 closed", "20 closed"}) CHECK(has(ran.output, closed));
  CHECK_FALSE(has(ran.output, "4 closed"));
  CHECK_FALSE(has(ran.output, "5 closed"));
}

TEST_CASE("sources that lie where others have to go do not disturb each other") {
  // 3 and 4 exchanged: the program's 3 is our 4 and the reverse.
  int one[2], two[2];
  KJ_SYSCALL(pipe2(one, O_CLOEXEC));
  KJ_SYSCALL(pipe2(two, O_CLOEXEC));
  kj::AutoCloseFd oneRead(one[0]), oneWrite(one[1]), twoRead(two[0]), twoWrite(two[1]);
  NamedFd fds[] = {{"a"_kj, kj::max(one[1], two[1])}, {"b"_kj, kj::min(one[1], two[1])}};
  kj::String arguments[] = {kj::str("-c"), kj::str("echo a >&3; echo b >&4")};
  auto started = startProcess({.binary = "/bin/sh"_kj,
                               .arguments = arguments,
                               .fds = fds,
                               .uid = nullptr,
                               .ownNetwork = false,
                               .openFiles = 64});
  REQUIRE(started.is<pid_t>());
  int status;
  KJ_SYSCALL(waitpid(started.get<pid_t>(), &status, 0));
  char c;
  int forA = fds[0].fd == one[1] ? one[0] : two[0];
  KJ_SYSCALL(read(forA, &c, 1));
  CHECK(c == 'a');
}

TEST_CASE("a program that does not exist is a refusal that names it, and leaves no zombie") {
  ProcessSpec spec{.binary = "/nonexistent/program"_kj, .arguments = nullptr, .fds = nullptr, .uid = 4242u};
  auto started = startProcess(spec);
  REQUIRE(started.is<StartRefused>());
  CHECK(started.get<StartRefused>().reason == "execve /nonexistent/program: No such file or directory");
  int status;
  CHECK(waitpid(-1, &status, WNOHANG) == -1);
}

}  // namespace
}  // namespace nexus
