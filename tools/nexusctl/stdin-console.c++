#include "tools/nexusctl/stdin-console.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus::ctl {

namespace {

constexpr size_t MAX_LINE_BYTES = 1000;

// A file has always something to read: epoll does not take it, and needs not.
class FileInput final : public kj::AsyncInputStream {
 public:
  kj::Promise<size_t> tryRead(void* buffer, size_t, size_t maxBytes) override {
    ssize_t n;
    KJ_SYSCALL(n = ::read(STDIN_FILENO, buffer, maxBytes));
    return size_t(n);
  }
};

}  // namespace

void StdinConsole::say(kj::StringPtr lines) {
  kj::FdOutputStream(STDERR_FILENO).write(lines.begin(), lines.size());
}

kj::AsyncInputStream& StdinConsole::open() {
  KJ_IF_MAYBE (already, input) return **already;
  struct stat info;
  KJ_SYSCALL(fstat(STDIN_FILENO, &info));
  if (isatty(STDIN_FILENO)) {
    // A description of our own: to make it non-blocking leaves the shell's alone.
    int raw;
    KJ_SYSCALL(raw = ::open("/dev/tty", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    input = io.lowLevelProvider->wrapInputFd(kj::AutoCloseFd(raw), kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK |
                                                                       kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  } else if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) {
    input = io.lowLevelProvider->wrapInputFd(STDIN_FILENO);
  } else {
    input = kj::Own<kj::AsyncInputStream>(kj::heap<FileInput>());
  }
  return *KJ_ASSERT_NONNULL(input);
}

kj::Promise<kj::Maybe<kj::String>> StdinConsole::readLine() {
  kj::Vector<char> line;
  for (;;) {
    char c;
    if (co_await open().tryRead(&c, 1, 1) == 0) co_return nullptr;
    if (c == '\n') co_return kj::heapString(line.asPtr());
    KJ_REQUIRE(line.size() < MAX_LINE_BYTES, "the line is too long");
    line.add(c);
  }
}

}  // namespace nexus::ctl
