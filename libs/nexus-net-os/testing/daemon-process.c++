#include "libs/nexus-net-os/testing/daemon-process.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr int FIRST_LISTEN_FD = 3;

kj::AutoCloseFd listenOn(kj::StringPtr path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() < sizeof(address.sun_path), path);
  memcpy(address.sun_path, path.begin(), path.size());
  unlink(path.cStr());  // left by a former run
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd result(fd);
  KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), path);
  KJ_SYSCALL(listen(fd, 8));
  return result;
}

kj::Array<kj::String> copyOf(kj::ArrayPtr<const kj::StringPtr> texts) {
  return KJ_MAP(text, texts) {
    return kj::str(text);
  };
}

}  // namespace

DaemonProcess::DaemonProcess(kj::StringPtr binary, kj::ArrayPtr<const kj::StringPtr> exports,
                             kj::ArrayPtr<const kj::StringPtr> args)
    : binary(kj::str(binary)), exports(copyOf(exports)), arguments(copyOf(args)) {
  start();
}

void DaemonProcess::startAgain() {
  KJ_REQUIRE(pid == -1, "it still runs, or nobody waited for its end");
  start();
}

void DaemonProcess::start() {
  kj::Vector<kj::AutoCloseFd> sockets;
  for (auto& name : exports) sockets.add(listenOn(socketPath(name)));
  auto names = kj::strArray(exports, ":");
  kj::Vector<char*> argv;
  argv.add(binary.begin());
  for (auto& argument : arguments) argv.add(argument.begin());
  argv.add(nullptr);
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  pipe = kj::AutoCloseFd(ends[0]);
  kj::AutoCloseFd writeEnd(ends[1]);

  KJ_SYSCALL(pid = fork());
  if (pid != 0) return;
  // The child: two passes, so that no descriptor is overwritten before it is copied.
  dup2(writeEnd, STDOUT_FILENO);
  dup2(writeEnd, STDERR_FILENO);
  int next = FIRST_LISTEN_FD;
  kj::Vector<int> high;
  for (auto& socket : sockets) high.add(fcntl(socket, F_DUPFD_CLOEXEC, 100));
  for (int fd : high) dup2(fd, next++);
  // AddressSanitizer looks for leaks through ptrace at the end, which a daemon's system call list kills; in-process
  // tests look for them.
  auto* asan = getenv("ASAN_OPTIONS");
  setenv("ASAN_OPTIONS", kj::str(asan == nullptr ? "" : asan, ":detect_leaks=0:color=never").cStr(), 1);
  setenv("LISTEN_FDS", kj::str(sockets.size()).cStr(), 1);
  setenv("LISTEN_FDNAMES", names.cStr(), 1);
  execv(binary.cStr(), argv.begin());
  _exit(127);
}

DaemonProcess::~DaemonProcess() noexcept(false) {
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

kj::String DaemonProcess::socketPath(kj::StringPtr exportName) const {
  return folder.file(kj::str(exportName, ".sock"));
}

bool DaemonProcess::readMore() {
  char buffer[4096];
  ssize_t n;
  KJ_SYSCALL(n = read(pipe, buffer, sizeof(buffer)));
  printed.append(buffer, n);
  return n > 0;
}

void DaemonProcess::waitForLine(kj::StringPtr prefix) {
  for (;;) {
    if (("\n" + printed).find(std::string("\n") + prefix.cStr()) != std::string::npos) return;
    KJ_REQUIRE(readMore(), "the daemon ended before it printed the line", prefix, printed.c_str());
  }
}

void DaemonProcess::terminate() {
  signal(SIGTERM);
}

void DaemonProcess::signal(int number) {
  KJ_SYSCALL(kill(pid, number));
}

int DaemonProcess::wait() {
  while (readMore()) {
  }
  int status;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  pid = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace nexus
