#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace {

struct Outcome {
  int exit;
  std::string out, err;
};

std::string readAll(int fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) text.append(buffer, n);
  return text;
}

// nexusctl as a process; what it prints fits into a pipe.
Outcome run(std::initializer_list<const char*> args) {
  int out[2], err[2];
  KJ_SYSCALL(pipe2(out, O_CLOEXEC));
  KJ_SYSCALL(pipe2(err, O_CLOEXEC));
  pid_t pid;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    std::vector<char*> argv{const_cast<char*>("nexusctl")};
    for (auto* arg : args) argv.push_back(const_cast<char*>(arg));
    argv.push_back(nullptr);
    execv("tools/nexusctl/nexusctl", argv.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  kj::AutoCloseFd outEnd(out[0]), errEnd(err[0]);
  Outcome outcome{0, readAll(outEnd), readAll(errEnd)};
  int status;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  outcome.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

TEST_CASE("a daemon that never ran is exit 5 and one sentence with the path") {
  auto result = run({"bus", "peers", "--run", "/nonexistent"});
  CHECK(result.exit == 5);
  CHECK(result.out == "");
  CHECK(result.err.find("dsoftbusd is not running (no socket at /nonexistent/bus.sock).") == 0);
}

TEST_CASE("a usage error is exit 2, help is exit 0") {
  CHECK(run({"bus", "pong"}).exit == 2);
  CHECK(run({}).exit == 2);
  CHECK(run({"--help"}).exit == 0);
  CHECK(run({"bus", "ping", "--help"}).out.find("Example: nexusctl bus ping") != std::string::npos);
}

// An address relative to the test's folder keeps the name within sun_path.
struct Listener {
  kj::AutoCloseFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string path = "ctl-" + std::to_string(getpid()) + ".sock";
  explicit Listener(bool listening) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof(name.sun_path) - 1);
    KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)));
    if (listening) {
      KJ_SYSCALL(listen(fd, 4));
    }
  }
  ~Listener() { unlink(path.c_str()); }
};

TEST_CASE("a socket that nobody listens at is exit 5; one that nobody answers at is exit 6") {
  {
    Listener dead(false);
    auto result = run({"audit", "tail", "--bus", dead.path.c_str(), "--json"});
    CHECK(result.exit == 5);
    CHECK(result.err == "");
    CHECK(result.out.find("\"nexus.error/1\"") != std::string::npos);
  }
  Listener silent(true);
  CHECK(run({"bus", "peers", "--bus", silent.path.c_str(), "--timeout", "50"}).exit == 6);
}

TEST_CASE("a daemon that hangs up is exit 5 without a stack trace") {
  Listener listener(true);
  pid_t pid;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) {
    close(accept(listener.fd, nullptr, nullptr));
    _exit(0);
  }
  auto result = run({"bus", "peers", "--bus", listener.path.c_str()});
  KJ_SYSCALL(waitpid(pid, nullptr, 0));
  CHECK(result.exit == 5);
  CHECK(result.err.find("stack:") == std::string::npos);
  CHECK(result.err.find("c++:") == std::string::npos);
}

}  // namespace
