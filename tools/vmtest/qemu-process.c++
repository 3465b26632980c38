#include "tools/vmtest/qemu-process.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nexus::vmtest {

namespace {

// In the child, between fork and exec: only what is safe there. Never returns.
[[noreturn]] void becomeProgram(char* const* argv, kj::ArrayPtr<const int> inherited, int log, int devNull,
                                pid_t parent) {
  // The kernel kills us with the harness. If it died before this line, nobody would: look.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(devNull, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  for (int fd : inherited) fcntl(fd, F_SETFD, 0);
  execvp(argv[0], argv);
  _exit(127);
}

}  // namespace

QemuProcess::QemuProcess(kj::UnixEventPort& port, kj::ArrayPtr<const kj::String> arguments,
                         kj::ArrayPtr<const int> inherited, int log) {
  auto argv = kj::heapArray<char*>(arguments.size() + 1);
  for (size_t i = 0; i < arguments.size(); i++) argv[i] = const_cast<char*>(arguments[i].cStr());
  argv.back() = nullptr;
  int devNull;
  KJ_SYSCALL(devNull = open("/dev/null", O_RDWR | O_CLOEXEC));
  kj::AutoCloseFd devNullOwner(devNull);
  pid_t parent = getpid();
  KJ_SYSCALL(child = fork());
  if (child == 0) becomeProgram(argv.begin(), inherited, log, devNull, parent);
  int fd;
  KJ_SYSCALL(fd = int(syscall(SYS_pidfd_open, child, 0)));  // closed on exec by itself
  pidfd = kj::AutoCloseFd(fd);
  observer.emplace(port, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ);
}

QemuProcess::~QemuProcess() noexcept(false) {
  if (ended()) return;
  kill();
  tryReap(true);
}

void QemuProcess::kill() {
  if (!ended()) ::kill(child, SIGKILL);
}

bool QemuProcess::tryReap(bool wait) {
  if (ended()) return true;
  int status = 0;
  pid_t reaped;
  KJ_SYSCALL(reaped = waitpid(child, &status, wait ? 0 : WNOHANG));
  if (reaped == 0) return false;
  how = WIFSIGNALED(status) ? kj::str("signal ", WTERMSIG(status)) : kj::str("exit ", WEXITSTATUS(status));
  return true;
}

kj::Promise<kj::StringPtr> QemuProcess::whenEnded() {
  while (!tryReap(false)) co_await KJ_ASSERT_NONNULL(observer).whenBecomesReadable();
  co_return kj::StringPtr(how);
}

FdPair streamPair() {
  int fds[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  return FdPair{kj::AutoCloseFd(fds[0]), kj::AutoCloseFd(fds[1])};
}

FdPair datagramPair() {
  int fds[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
  return FdPair{kj::AutoCloseFd(fds[0]), kj::AutoCloseFd(fds[1])};
}

FdPair pipePair(size_t capacity) {
  int fds[2];
  KJ_SYSCALL(pipe2(fds, O_CLOEXEC));
  FdPair pair{kj::AutoCloseFd(fds[0]), kj::AutoCloseFd(fds[1])};
  // A larger pipe only saves wake-ups; a system that refuses it works all the same.
  (void)fcntl(fds[0], F_SETPIPE_SZ, int(capacity));
  return pair;
}

}  // namespace nexus::vmtest
