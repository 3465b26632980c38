#pragma once
// A listening Unix socket for tests that run a daemon as a process: with an abstract name that the kernel chooses, made
// before the daemon and outliving it, as a supervisor's sockets do. Owned by a test.
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "libs/nexus-net-os/rpc/cap-reconnect.h"

namespace nexus {

class UnixListener {
 public:
  UnixListener() {
    name.sun_family = AF_UNIX;
    KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&name), length));
    KJ_SYSCALL(listen(fd, 64));
    length = sizeof(name);
    KJ_SYSCALL(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length));
  }
  KJ_DISALLOW_COPY_AND_MOVE(UnixListener);

  int get() const { return fd; }

  CapReconnect::Connect connector(kj::AsyncIoContext& io) {
    return [&io, this]() {
      auto address = io.provider->getNetwork().getSockaddr(&name, length);
      return address->connect().attach(kj::mv(address)).then([](kj::Own<kj::AsyncIoStream> stream) {
        return stream.downcast<kj::AsyncCapabilityStream>();
      });
    };
  }

  // Starts `binary` with the given listeners inherited under `names` (colon-separated, LISTEN_FDNAMES). The caller
  // waits for it.
  static pid_t spawn(const char* binary, const char* names, std::initializer_list<UnixListener*> listeners,
                     std::initializer_list<const char*> arguments) {
    pid_t pid = fork();
    KJ_ASSERT(pid >= 0);
    if (pid > 0) return pid;
    std::vector<int> high;
    for (auto* listener : listeners) high.push_back(fcntl(listener->fd, F_DUPFD, 100));
    int next = 3;
    for (int from : high) dup2(from, next++);
    setenv("LISTEN_FDS", std::to_string(high.size()).c_str(), 1);
    setenv("LISTEN_FDNAMES", names, 1);
    // The leak checker of a sanitized build traces its own process at exit, which a sandboxed daemon may not.
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    std::vector<char*> argv{const_cast<char*>(binary)};
    for (auto* argument : arguments) argv.push_back(const_cast<char*>(argument));
    argv.push_back(nullptr);
    execv(binary, argv.data());
    _exit(127);
  }

  pid_t spawn(const char* binary, const char* asName, std::initializer_list<const char*> arguments) {
    return spawn(binary, asName, {this}, arguments);
  }

 private:
  kj::AutoCloseFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_un name{};
  socklen_t length = sizeof(name.sun_family);
};

}  // namespace nexus
