#include "daemons/initd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr int FIRST_FD = 3;  // sd_listen_fds(3)

// What the child tells its parent when a step fails.
struct Failure {
  char step[32];
  int error;
};

// Everything the child needs, made before the fork: between fork and exec it only makes system calls.
struct Prepared {
  const ProcessSpec& spec;
  kj::Vector<kj::String> texts;  // owns what the two vectors point to
  kj::Vector<char*> arguments;
  kj::Vector<char*> environment;
  char listenPid[32];
  int failurePipe;
};

[[noreturn]] void fail(const Prepared& prepared, const char* step) {
  Failure failure{};
  failure.error = errno;
  strncpy(failure.step, step, sizeof(failure.step) - 1);
  (void)!write(prepared.failurePipe, &failure, sizeof(failure));
  _exit(127);
}

void resetSignals(const Prepared& prepared) {
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail(prepared, "sigprocmask");
  for (int signal = 1; signal < SIGRTMIN; signal++) ::signal(signal, SIG_DFL);  // SIGKILL and SIGSTOP refuse: fine
}

// Puts the handed descriptors at 3, 4, ... and closes all others. First out of the way, because a source may lie where
// another one has to go.
void placeDescriptors(Prepared& prepared) {
  auto fds = prepared.spec.fds;
  int above = FIRST_FD + static_cast<int>(fds.size());
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) fail(prepared, "open /dev/null");
  prepared.failurePipe = fcntl(prepared.failurePipe, F_DUPFD_CLOEXEC, above);
  int moved[32];
  for (size_t i = 0; i < fds.size(); i++) {
    moved[i] = fcntl(fds[i].fd, F_DUPFD_CLOEXEC, above);
    if (moved[i] < 0) fail(prepared, "fcntl F_DUPFD");
  }
  for (size_t i = 0; i < fds.size(); i++) {
    if (dup2(moved[i], FIRST_FD + i) < 0) fail(prepared, "dup2");
  }
  // The failure pipe closes itself at exec; the rest goes now.
  if (prepared.failurePipe > above) syscall(SYS_close_range, above, prepared.failurePipe - 1, 0);
  if (syscall(SYS_close_range, prepared.failurePipe + 1, ~0u, 0) != 0) fail(prepared, "close_range");
}

void dropPrivileges(const Prepared& prepared, ServiceUid uid) {
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) fail(prepared, "PR_CAPBSET_DROP");
  }
  if (setgroups(0, nullptr) != 0) fail(prepared, "setgroups");
  if (setresgid(uid, uid, uid) != 0) fail(prepared, "setresgid");
  if (setresuid(uid, uid, uid) != 0) fail(prepared, "setresuid");  // takes the capability sets with it
}

[[noreturn]] void become(Prepared& prepared) {
  auto& spec = prepared.spec;
  if (setsid() < 0) fail(prepared, "setsid");
  resetSignals(prepared);
  placeDescriptors(prepared);
  if (spec.ownNetwork && unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0) fail(prepared, "unshare");
  rlimit files{spec.openFiles, spec.openFiles};
  rlimit noCore{0, 0};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0 || setrlimit(RLIMIT_CORE, &noCore) != 0) fail(prepared, "setrlimit");
  KJ_IF_MAYBE (uid, spec.uid) dropPrivileges(prepared, *uid);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(prepared, "PR_SET_NO_NEW_PRIVS");
  umask(0077);
  snprintf(prepared.listenPid, sizeof(prepared.listenPid), "LISTEN_PID=%d", getpid());
  execve(spec.binary.cStr(), prepared.arguments.begin(), prepared.environment.begin());
  fail(prepared, "execve");
}

}  // namespace

kj::OneOf<pid_t, StartRefused> startProcess(const ProcessSpec& spec) {
  KJ_REQUIRE(spec.fds.size() <= 32, "too many descriptors for one program", spec.binary);
  int pipeFds[2];
  KJ_SYSCALL(pipe2(pipeFds, O_CLOEXEC));
  kj::AutoCloseFd failureRead(pipeFds[0]), failureWrite(pipeFds[1]);

  Prepared prepared{spec, {}, {}, {}, {}, pipeFds[1]};
  auto names = KJ_MAP(named, spec.fds) {
    return named.name;
  };
  prepared.texts.add(kj::heapString(spec.binary));
  prepared.texts.add(kj::str("LISTEN_FDS=", spec.fds.size()));
  prepared.texts.add(kj::str("LISTEN_FDNAMES=", kj::delimited(names, ":"_kj)));
  prepared.arguments.add(prepared.texts[0].begin());
  for (auto& argument : spec.arguments) prepared.arguments.add(const_cast<char*>(argument.begin()));
  prepared.arguments.add(nullptr);
  if (spec.fds.size() > 0) {
    prepared.environment.add(prepared.texts[1].begin());
    prepared.environment.add(prepared.texts[2].begin());
    prepared.environment.add(prepared.listenPid);
  }
  prepared.environment.add(nullptr);

  pid_t pid;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) become(prepared);
  failureWrite = nullptr;

  // End of file: the pipe closed at exec. Anything else: the child says why, and ends.
  Failure failure{};
  ssize_t got;
  KJ_SYSCALL(got = read(failureRead, &failure, sizeof(failure)));
  if (got == 0) return pid;
  int ignored;
  while (waitpid(pid, &ignored, 0) < 0 && errno == EINTR) {
  }
  failure.step[sizeof(failure.step) - 1] = 0;
  return StartRefused{kj::str(failure.step, ' ', spec.binary, ": ", strerror(failure.error))};
}

}  // namespace nexus
