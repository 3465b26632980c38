#include "libs/nexus-net-os/daemon/sandbox.h"

#include <execinfo.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace nexus {

namespace {

// What KJ's event loop, Cap'n Proto on accepted Unix sockets, glibc's allocator under brk and an orderly end need.
// Every profile has these.
constexpr int COMMON[] = {
    // bytes and descriptors over what is open already
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(shutdown), SCMP_SYS(fcntl), SCMP_SYS(close), SCMP_SYS(fstat),
    // waiting and time
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(futex),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield),
    SCMP_SYS(timerfd_settime),
    // memory: growing the heap, giving back what was mapped before
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise),
    // signals and the end, abort() included
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // randomness
    SCMP_SYS(getrandom)};

// Anonymous memory and mappings of descriptors that were passed to us; PROT_EXEC is refused in the rule itself.
constexpr int MAPPING[] = {SCMP_SYS(mremap), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(pipe2),
                           SCMP_SYS(eventfd2)};

// To find and read files.
constexpr int READING[] = {SCMP_SYS(newfstatat), SCMP_SYS(statx),     SCMP_SYS(getdents64), SCMP_SYS(lseek),
                           SCMP_SYS(pread64),    SCMP_SYS(readlink),  SCMP_SYS(readlinkat), SCMP_SYS(access),
                           SCMP_SYS(faccessat),  SCMP_SYS(faccessat2)};

// To put a file that was made anew in the place of another.
constexpr int REPLACING[] = {SCMP_SYS(renameat), SCMP_SYS(unlinkat), SCMP_SYS(fsync)};

class Filter {
 public:
  Filter() : context(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    KJ_REQUIRE(context != nullptr, "seccomp is not available");
  }
  ~Filter() { seccomp_release(context); }
  KJ_DISALLOW_COPY_AND_MOVE(Filter);

  void allow(kj::ArrayPtr<const int> calls) {
    for (int call : calls) check(seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 0), call);
  }

  // Allows `call` when (argument & mask) == value.
  void allowWhen(int call, unsigned argument, uint64_t mask, uint64_t value) {
    check(seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value)),
          call);
  }

  // The same for `call` whose descriptors, the arguments `first` and, if another, `second`, are both `fd`.
  void allowIn(int fd, int call, unsigned first, unsigned second) {
    auto is = static_cast<uint64_t>(fd);
    auto a = SCMP_CMP(first, SCMP_CMP_MASKED_EQ, 0xffffffff, is),
         b = SCMP_CMP(second, SCMP_CMP_MASKED_EQ, 0xffffffff, is);
    check(first == second ? seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, a)
                          : seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 2, a, b),
          call);
  }

  // openat() in the folder `fd` when (flags & mask) == value.
  void allowOpenIn(int fd, uint64_t mask, uint64_t value) {
    check(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(openat), 2,
                           SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, static_cast<uint64_t>(fd)),
                           SCMP_CMP(2, SCMP_CMP_MASKED_EQ, mask, value)),
          SCMP_SYS(openat));
  }

  void load() { check(seccomp_load(context), -1); }

 private:
  scmp_filter_ctx context;

  static void check(int result, int call) {
    KJ_REQUIRE(result == 0, "the kernel or libseccomp refused a rule", call, strerror(-result));
  }
};

constexpr uint64_t WHOLE =
    0xffffffff;  // the arguments compared here are 32-bit; the upper half is not the kernel's to read

// KJ makes every descriptor it takes over non-blocking and close-on-exec through ioctl. Nothing else of ioctl is
// reachable.
void allowDescriptorFlags(Filter& filter) {
  for (uint64_t request : {FIONBIO, FIOCLEX, FIONREAD}) filter.allowWhen(SCMP_SYS(ioctl), 1, WHOLE, request);
}

// Taking a TAP interface again after it was deleted and made anew, on the descriptor that is open already.
void allowTap(Filter& filter) {
  for (uint64_t request : {uint64_t{TUNSETIFF}, uint64_t{TUNSETVNETHDRSZ}, uint64_t{TUNSETVNETLE},
                           uint64_t{TUNSETOFFLOAD}, uint64_t{SIOCGIFMTU}}) {
    filter.allowWhen(SCMP_SYS(ioctl), 1, WHOLE, request);
  }
}

void allowUnixSockets(Filter& filter) {
  filter.allowWhen(SCMP_SYS(socket), 0, WHOLE, AF_UNIX);
  filter.allowWhen(SCMP_SYS(socketpair), 0, WHOLE, AF_UNIX);
  filter.allow({SCMP_SYS(connect)});
}

void allowMapping(Filter& filter) {
  filter.allow(MAPPING);
  filter.allowWhen(SCMP_SYS(mmap), 2, PROT_EXEC, 0);
  filter.allowWhen(SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
}

void addRules(Filter& filter, SandboxProfile profile) {
  filter.allow(COMMON);
  // abort() signals its own process; tgkill to any other process is harmless without privileges but not needed.
  filter.allowWhen(SCMP_SYS(tgkill), 0, WHOLE, static_cast<uint64_t>(getpid()));
  if (profile == SandboxProfile::VIRTIONETD_VFIO) return;
  allowDescriptorFlags(filter);
  allowUnixSockets(filter);
  allowMapping(filter);
  // glibc's fstat() is newfstatat() with an empty path. The path itself is out of a filter's reach; with it a process
  // could at most see the times and sizes of files.
  bool reads = profile == SandboxProfile::STORE || profile == SandboxProfile::STATE_STORE;
  if (!reads) filter.allowWhen(SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
  if (profile == SandboxProfile::VIRTIONETD_HOST) allowTap(filter);
  if (reads) {
    filter.allow(READING);
    filter.allowWhen(SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
    filter.allowWhen(SCMP_SYS(open), 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
  }
  if (profile == SandboxProfile::STATE_STORE) {
    filter.allow(REPLACING);
    filter.allowWhen(SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_TMPFILE,
                     O_WRONLY | O_CREAT | O_EXCL);
  }
}

constexpr uint64_t OPEN_MODE = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_TMPFILE;
static_assert((O_TMPFILE & O_DIRECTORY) != 0);  // so that a folder is not opened either

void allowFolders(Filter& filter, const SandboxFolders& folders) {
  for (int fd : folders.readable) filter.allowOpenIn(fd, OPEN_MODE, O_RDONLY);
  for (int fd : folders.writable) {
    filter.allowOpenIn(fd, OPEN_MODE, O_RDONLY);
    filter.allowOpenIn(fd, OPEN_MODE, O_WRONLY | O_CREAT | O_EXCL);
    filter.allowIn(fd, SCMP_SYS(renameat), 0, 2);
    filter.allowIn(fd, SCMP_SYS(unlinkat), 0, 0);
  }
  if (folders.writable.size() > 0) filter.allow({SCMP_SYS(fsync)});
}

// ---- Landlock: what a filter of system calls cannot see, the path

constexpr uint64_t LANDLOCK_READ = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t LANDLOCK_WRITE =
    LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
constexpr uint64_t LANDLOCK_ALL = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // every right of its first version

void addLandlockFolder(int ruleset, int folder, uint64_t access) {
  landlock_path_beneath_attr beneath{};
  beneath.allowed_access = access;
  beneath.parent_fd = folder;
  KJ_SYSCALL(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
}

// Nothing where the kernel does not have it.
void confineToFolders(const SandboxFolders& folders) {
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) return;
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = LANDLOCK_ALL;
  int raw;
  KJ_SYSCALL(raw = syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0));
  kj::AutoCloseFd ruleset(raw);
  for (int fd : folders.readable) addLandlockFolder(ruleset, fd, LANDLOCK_READ);
  for (int fd : folders.writable) addLandlockFolder(ruleset, fd, LANDLOCK_WRITE);
  KJ_SYSCALL(syscall(SYS_landlock_restrict_self, ruleset.get(), 0));
}

// Makes the runtime do now what it would otherwise do at its first exception: loading the unwinder opens and maps
// files.
void warmUp() {
  void* frames[4];
  (void)backtrace(frames, 4);
  (void)kj::runCatchingExceptions([] { KJ_FAIL_ASSERT("never seen"); });
}

// glibc asks mmap for large blocks and for arenas; with these it lives by brk alone.
void confineMalloc() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TOP_PAD, 1 << 20);  // bytes: fewer brk calls under load
}

}  // namespace

void enterSandbox(SandboxProfile profile, const SandboxFolders& folders) {
  warmUp();
  if (profile == SandboxProfile::VIRTIONETD_VFIO) confineMalloc();
  KJ_SYSCALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  Filter filter;
  addRules(filter, profile);
  allowFolders(filter, folders);
  if (folders.readable.size() + folders.writable.size() > 0) confineToFolders(folders);
  filter.load();
}

void closeStrayFds(kj::ArrayPtr<const int> keep) {
  kj::Vector<int> sorted;
  sorted.addAll(keep);
  std::sort(sorted.begin(), sorted.end());
  unsigned from = STDERR_FILENO + 1;
  for (int fd : sorted) {
    if (fd < static_cast<int>(from)) continue;
    if (static_cast<unsigned>(fd) > from) {
      KJ_SYSCALL(close_range(from, fd - 1, 0));
    }
    from = fd + 1;
  }
  KJ_SYSCALL(close_range(from, ~0u, 0));
}

kj::StringPtr profileName(SandboxProfile profile) {
  switch (profile) {
    case SandboxProfile::VIRTIONETD_VFIO:
      return "virtionetd-vfio"_kj;
    case SandboxProfile::VIRTIONETD_HOST:
      return "virtionetd-host"_kj;
    case SandboxProfile::STACK:
      return "stack"_kj;
    case SandboxProfile::STORE:
      return "store"_kj;
    case SandboxProfile::STATE_STORE:
      return "state-store"_kj;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
