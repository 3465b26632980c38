#include "selftest/dma-probe/canary.h"

#include <kj/debug.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "selftest/dma-probe/physical-page.h"

namespace nexus {

namespace {

constexpr time_t ANSWER_SECONDS = 5;  // before a silent child counts as dead

template <typename T>
void put(int fd, const T& value) {
  ssize_t n;
  KJ_SYSCALL(n = write(fd, &value, sizeof(value)));
  KJ_REQUIRE(n == sizeof(value));
}

template <typename T>
kj::Maybe<T> get(int fd) {
  T value;
  ssize_t n;
  KJ_SYSCALL(n = read(fd, &value, sizeof(value)));
  if (n == 0) return nullptr;
  KJ_REQUIRE(n == sizeof(value));
  return value;
}

}  // namespace

CanaryProcess::CanaryProcess(kj::ArrayPtr<const kj::byte> secretFrame) {
  KJ_REQUIRE(secretFrame.size() <= PhysicalPage::SIZE, "the secret is larger than a page");
  int ends[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  socket = kj::AutoCloseFd(ends[0]);
  kj::AutoCloseFd theirs(ends[1]);
  KJ_SYSCALL(child = fork());
  if (child == 0) {
    socket = nullptr;
    guard(kj::mv(theirs), secretFrame);
  }
  timeval limit{ANSWER_SECONDS, 0};
  KJ_SYSCALL(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
  theirs = nullptr;
  addresses = KJ_REQUIRE_NONNULL(get<Addresses>(socket), "the canary process cannot locate its pages: run as root");
}

CanaryProcess::~CanaryProcess() noexcept(false) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

uint32_t CanaryProcess::changedBytes() {
  put(socket, char{'?'});
  return KJ_REQUIRE_NONNULL(get<uint32_t>(socket), "the canary process lost its pages");
}

void CanaryProcess::guard(kj::AutoCloseFd socket, kj::ArrayPtr<const kj::byte> secretFrame) {
  auto failure = kj::runCatchingExceptions([&]() {
    PhysicalPage secret, target;
    memcpy(secret.bytes().begin(), secretFrame.begin(), secretFrame.size());
    memset(target.bytes().begin(), PATTERN, PhysicalPage::SIZE);
    put(socket, Addresses{secret.address(), target.address()});
    while (get<char>(socket) != nullptr) {
      secret.address();  // still there
      target.address();
      uint32_t changed =
          std::count_if(target.bytes().begin(), target.bytes().end(), [](kj::byte b) { return b != PATTERN; });
      put(socket, changed);
    }
  });
  _exit(failure == nullptr ? 0 : 1);
}

}  // namespace nexus
