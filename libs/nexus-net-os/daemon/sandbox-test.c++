#include "libs/nexus-net-os/daemon/sandbox.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "idl/nic.capnp.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif

constexpr SandboxProfile ALL[] = {SandboxProfile::VIRTIONETD_VFIO, SandboxProfile::VIRTIONETD_HOST,
                                  SandboxProfile::STACK, SandboxProfile::STORE, SandboxProfile::STATE_STORE};

// How a forked child that runs `body` ended: its wait status.
int inChild(kj::Function<void()> body) {
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    body();
    _exit(0);
  }
  int status;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  return status;
}

bool killedBySandbox(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}
bool endedWell(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// True when a process in `profile` is killed by `call`. A call that merely fails is not enough.
bool forbids(SandboxProfile profile, kj::Function<void()> call) {
  return killedBySandbox(inChild([&] {
    enterSandbox(profile);
    call();
  }));
}

bool allows(SandboxProfile profile, kj::Function<bool()> call) {
  return endedWell(inChild([&] {
    enterSandbox(profile);
    if (!call()) _exit(1);
  }));
}

TEST_CASE("every profile kills a process that makes a call no daemon needs") {
  for (auto profile : ALL) {
    INFO(std::string(profileName(profile).cStr()));
    CHECK(forbids(profile, [] { syscall(SYS_execve, "/bin/true", nullptr, nullptr); }));
    CHECK(forbids(profile, [] { syscall(SYS_ptrace, 0, 0, 0, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_fork); }));
    CHECK(forbids(profile, [] { syscall(SYS_kill, 1, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_tgkill, 1, 1, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_setuid, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_unshare, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_mount, "", "", "", 0, ""); }));
    CHECK(forbids(profile, [] { syscall(SYS_bind, 0, nullptr, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_listen, 0, 1); }));
    CHECK(forbids(profile, [] { syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }));
    CHECK(forbids(profile,
                  [] { syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_ioctl, 0, 0x5401, nullptr); }));
    CHECK(forbids(profile, [] { syscall(SYS_openat, AT_FDCWD, "/", O_RDWR, 0); }));
    CHECK(forbids(profile, [] { syscall(SYS_openat, AT_FDCWD, "/x", O_RDONLY | O_CREAT, 0600); }));
    CHECK(forbids(profile, [] { syscall(SYS_openat, AT_FDCWD, "/", O_TMPFILE | O_WRONLY, 0600); }));
    CHECK(forbids(profile, [] { syscall(SYS_unlink, "/x"); }));
  }
}

TEST_CASE("the profile for a VFIO device has no ioctl, no mmap, no open, no socket and no connect at all") {
  constexpr auto profile = SandboxProfile::VIRTIONETD_VFIO;
  CHECK(forbids(profile, [] { syscall(SYS_ioctl, 0, FIONBIO, nullptr); }));
  CHECK(forbids(profile, [] { syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }));
  CHECK(forbids(profile, [] { syscall(SYS_mprotect, 0, 4096, PROT_READ); }));
  CHECK(forbids(profile, [] { syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY, 0); }));
  CHECK(forbids(profile, [] { syscall(SYS_memfd_create, "x", 0); }));
  CHECK(forbids(profile, [] { syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }));
  CHECK(forbids(profile, [] { syscall(SYS_connect, 0, nullptr, 0); }));
}

struct TestFolder {
  TemporaryFolder folder;
  kj::AutoCloseFd fd;
  TestFolder() {
    int raw;
    KJ_SYSCALL(raw = open(folder.path().cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    fd = kj::AutoCloseFd(raw);
    folder.write("there", "");
  }
};

TEST_CASE("a folder that is let be read is, through its descriptor alone, and nothing in it is changed") {
  TestFolder folder, other;
  int readable[] = {folder.fd};
  auto enter = [&](kj::Function<bool()> call) {
    return inChild([&] {
      enterSandbox(SandboxProfile::STACK, {readable, nullptr});
      if (!call()) _exit(1);
    });
  };
  CHECK(endedWell(enter([&] { return syscall(SYS_openat, folder.fd.get(), "there", O_RDONLY | O_CLOEXEC, 0) >= 0; })));
  auto killed = [&](int fd, const char* name, int flags) {
    return killedBySandbox(enter([&] { return syscall(SYS_openat, fd, name, flags, 0600) >= 0; }));
  };
  CHECK(killed(other.fd, "there", O_RDONLY));
  CHECK(killed(AT_FDCWD, "/etc/passwd", O_RDONLY));
  CHECK(killed(folder.fd, "there", O_WRONLY));
  CHECK(killed(folder.fd, "there", O_RDONLY | O_TRUNC));
  CHECK(killed(folder.fd, "made", O_WRONLY | O_CREAT | O_EXCL));
  CHECK(killed(folder.fd, ".", O_RDONLY | O_DIRECTORY));
  CHECK(killedBySandbox(enter([&] { return syscall(SYS_unlinkat, folder.fd.get(), "there", 0) == 0; })));
}

TEST_CASE(
    "in a folder that is let be written new files are made, renamed and removed; none is opened to be rewritten") {
  TestFolder folder, other;
  int writable[] = {folder.fd};
  auto enter = [&](kj::Function<bool()> call) {
    return inChild([&] {
      enterSandbox(SandboxProfile::STACK, {nullptr, writable});
      if (!call()) _exit(1);
    });
  };
  constexpr int fresh = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC;
  CHECK(endedWell(enter([&] {
    int file = syscall(SYS_openat, folder.fd.get(), "made", fresh, 0600);
    return file >= 0 && write(file, "x", 1) == 1 && fsync(file) == 0 &&
           syscall(SYS_renameat, folder.fd.get(), "made", folder.fd.get(), "moved") == 0 &&
           syscall(SYS_unlinkat, folder.fd.get(), "moved", 0) == 0;
  })));
  CHECK(
      killedBySandbox(enter([&] { return syscall(SYS_openat, folder.fd.get(), "there", O_WRONLY | O_APPEND) >= 0; })));
  CHECK(killedBySandbox(enter([&] { return syscall(SYS_openat, other.fd.get(), "made", fresh, 0600) >= 0; })));
  CHECK(killedBySandbox(
      enter([&] { return syscall(SYS_renameat, folder.fd.get(), "there", other.fd.get(), "moved") == 0; })));
  CHECK(killedBySandbox(enter([&] { return syscall(SYS_unlinkat, other.fd.get(), "there", 0) == 0; })));
}

TEST_CASE("where the kernel has Landlock, a path that leads out of the folder does not leave it") {
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
    MESSAGE("no Landlock on this kernel: not tried");
    return;
  }
  TestFolder folder;
  int readable[] = {folder.fd};
  CHECK(endedWell(inChild([&] {
    enterSandbox(SandboxProfile::STACK, {readable, nullptr});
    bool outside = syscall(SYS_openat, folder.fd.get(), "/etc/passwd", O_RDONLY, 0) >= 0 ||
                   syscall(SYS_openat, folder.fd.get(), "../../etc/passwd", O_RDONLY, 0) >= 0;
    if (outside || syscall(SYS_openat, folder.fd.get(), "there", O_RDONLY, 0) < 0) _exit(1);
  })));
}

TEST_CASE("the state store profile makes, renames and removes files, and others do none of it") {
  TemporaryFolder folder;
  int root;
  KJ_SYSCALL(root = open(folder.path().cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  kj::AutoCloseFd closer(root);
  constexpr int fresh = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  constexpr auto profile = SandboxProfile::STATE_STORE;
  CHECK(allows(profile, [&] {
    int file = syscall(SYS_openat, root, "a", fresh, 0600);
    return file >= 0 && fsync(file) == 0 && syscall(SYS_renameat, root, "a", root, "b") == 0 &&
           syscall(SYS_unlinkat, root, "b", 0) == 0;
  }));
  CHECK(forbids(profile, [&] { syscall(SYS_openat, root, "a", O_WRONLY, 0); }));
  CHECK(forbids(profile, [&] { syscall(SYS_openat, root, "a", O_WRONLY | O_CREAT, 0600); }));
  CHECK(forbids(profile, [&] { syscall(SYS_openat, root, "a", O_WRONLY | O_TRUNC, 0); }));
  CHECK(forbids(profile, [&] { syscall(SYS_mkdirat, root, "a", 0700); }));
  for (auto other : {SandboxProfile::STACK, SandboxProfile::STORE, SandboxProfile::VIRTIONETD_HOST}) {
    CHECK(forbids(other, [&] { syscall(SYS_openat, root, "a", fresh, 0600); }));
    CHECK(forbids(other, [&] { syscall(SYS_renameat, root, "a", root, "b"); }));
    CHECK(forbids(other, [&] { syscall(SYS_unlinkat, root, "a", 0); }));
    CHECK(forbids(other, [&] { syscall(SYS_fsync, 0); }));
  }
}

TEST_CASE("only the store profiles open files, and for reading") {
  auto open = [] { return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_CLOEXEC, 0) >= 0; };
  CHECK(allows(SandboxProfile::STORE, open));
  CHECK(allows(SandboxProfile::STATE_STORE, open));
  CHECK(forbids(SandboxProfile::STACK, [&] { open(); }));
  CHECK(forbids(SandboxProfile::VIRTIONETD_HOST, [&] { open(); }));
}

TEST_CASE("the stack profile makes Unix sockets and maps memory, and memory never becomes executable") {
  for (auto profile : {SandboxProfile::STACK, SandboxProfile::STORE, SandboxProfile::VIRTIONETD_HOST}) {
    INFO(std::string(profileName(profile).cStr()));
    CHECK(allows(profile, [] {
      int pair[2];
      return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
             mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    }));
    CHECK(forbids(profile, [] {
      void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      mprotect(memory, 4096, PROT_READ | PROT_EXEC);
    }));
  }
}

TEST_CASE("a sandboxed process cannot gain privileges, and says why when it aborts") {
  for (auto profile : ALL) {
    CHECK(allows(profile, [] { return true; }));
    CHECK(endedWell(inChild([&] {
      prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
      KJ_ASSERT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
      // prctl itself is gone afterwards, so that no_new_privs shows in what is still allowed: loading worked without
      // CAP_SYS_ADMIN.
      enterSandbox(profile);
    })));
    auto status = inChild([&] {
      enterSandbox(profile);
      signal(SIGABRT, SIG_DFL);
      abort();
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
  }
}

TEST_CASE("an exception is thrown and caught in every profile") {
  for (auto profile : ALL) {
    CHECK(allows(profile, [] {
      auto failure = kj::runCatchingExceptions([] { KJ_FAIL_REQUIRE("on purpose", 1); });
      return failure != nullptr;
    }));
  }
}

#ifndef UNDER_ASAN  // its allocator maps memory by itself, and its threads make calls of their own

// Answers with what it was sent, and hands out a descriptor.
class Echo final : public idl::Nic::Server {
 public:
  kj::Promise<void> transmit(TransmitContext context) override {
    last = kj::heapArray<kj::byte>(context.getParams().getFrame());
    return kj::READY_NOW;
  }
  kj::Promise<void> receive(ReceiveContext context) override {
    context.getResults().setFrame(last);
    return kj::READY_NOW;
  }
  kj::Promise<void> attach(AttachContext context) override {
    class A final : public idl::Attachment::Server {
      kj::Promise<void> memory(MemoryContext context) override {
        context.getResults().setRings(newFdCap(kj::AutoCloseFd(fcntl(1, F_DUPFD_CLOEXEC, 0))));
        return kj::READY_NOW;
      }
      kj::Promise<void> start(StartContext) override { KJ_FAIL_REQUIRE("refused, with a reason"); }
    };
    context.getResults().setAttachment(kj::heap<A>());
    return kj::READY_NOW;
  }

 private:
  kj::Array<kj::byte> last;
};

TEST_CASE(
    "a daemon serves Cap'n Proto under load in every profile: big messages, descriptors, exceptions, many "
    "connections") {
  for (auto profile : ALL) {
    INFO(std::string(profileName(profile).cStr()));
    // An abstract name chosen by the kernel; listening before the fork, so that the first connect finds it.
    kj::AutoCloseFd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    socklen_t length = sizeof(name.sun_family);
    KJ_SYSCALL(bind(listening, reinterpret_cast<sockaddr*>(&name), length));
    KJ_SYSCALL(listen(listening, 64));
    length = sizeof(name);
    KJ_SYSCALL(getsockname(listening, reinterpret_cast<sockaddr*>(&name), &length));
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      auto io = kj::setupAsyncIo();
      CapServer server([](const PeerCredentials&) -> capnp::Capability::Client { return kj::heap<Echo>(); });
      auto listener = io.lowLevelProvider->wrapListenSocketFd(kj::mv(listening));
      enterSandbox(profile);
      server.listenLoop(kj::mv(listener)).wait(io.waitScope);
    }
    KJ_DEFER({
      int status;
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      CHECK(WTERMSIG(status) == SIGKILL);  // alive to the end: SIGSYS would show here
    });
    auto io = kj::setupAsyncIo();
    auto address = io.provider->getNetwork().getSockaddr(&name, length);
    for (int round = 0; round < 20; round++) {
      CapConnection connection(address->connect().wait(io.waitScope).downcast<kj::AsyncCapabilityStream>());
      auto nic = connection.bootstrap().castAs<idl::Nic>();
      for (size_t size : {60u, 100'000u, 2'000'000u}) {
        auto request = nic.transmitRequest();
        auto frame = kj::heapArray<kj::byte>(size);
        memset(frame.begin(), round, size);
        request.setFrame(frame);
        request.send().wait(io.waitScope);
        auto back = nic.receiveRequest().send().wait(io.waitScope);
        CHECK((back.getFrame() == frame));
      }
      auto attachment = nic.attachRequest().send().getAttachment();
      auto memory = attachment.memoryRequest().send().wait(io.waitScope);
      CHECK(takeFd(memory.getRings()).wait(io.waitScope).get() >= 0);
      CHECK_THROWS(attachment.startRequest().send().wait(io.waitScope));
    }
  }
}
#endif

TEST_CASE("descriptors that are not on the list are closed, those on it stay") {
  CHECK(endedWell(inChild([] {
    int keep1 = fcntl(0, F_DUPFD, 10), stray = fcntl(0, F_DUPFD, 11), keep2 = fcntl(0, F_DUPFD, 40),
        last = fcntl(0, F_DUPFD, 41);
    closeStrayFds({keep2, keep1, 0});
    auto open = [](int fd) { return fcntl(fd, F_GETFD) >= 0; };
    KJ_ASSERT(open(0) && open(1) && open(2) && open(keep1) && open(keep2) && !open(stray) && !open(last) && !open(3));
  })));
}

}  // namespace
}  // namespace nexus
