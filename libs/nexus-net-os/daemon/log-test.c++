#include "libs/nexus-net-os/daemon/log.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <kj/io.h>
#include <unistd.h>

namespace nexus {
namespace {

// What `log` writes to standard error.
kj::String written(kj::Function<void(LineLog&)> log) {
  int ends[2];
  KJ_SYSCALL(pipe(ends));
  kj::AutoCloseFd reader(ends[0]), writer(ends[1]), before(dup(STDERR_FILENO));
  dup2(writer, STDERR_FILENO);
  {
    LineLog lines("testd");
    log(lines);
  }
  dup2(before, STDERR_FILENO);
  writer = nullptr;
  return kj::FdInputStream(reader.get()).readAllText();
}

TEST_CASE("a message is one line with its level, daemon and place, and no control characters") {
  CHECK(written([](LineLog& log) {
          log.logMessage(kj::LogSeverity::WARNING, "daemons/a/b.c++", 7, 0, kj::str("two\nlines\x1b[2J\n"));
        }) == "level=warning daemon=testd at=b.c++:7 msg=two lines [2J\n");
}

TEST_CASE("what the RPC library says of each failed call is left out, its warnings are not") {
  auto file = "external/capnproto/capnp/rpc.c++";
  CHECK(written([&](LineLog& log) {
          log.logMessage(kj::LogSeverity::INFO, file, 1, 0, kj::str("returning failure over rpc"));
        }) == "");
  CHECK(written([&](LineLog& log) { log.logMessage(kj::LogSeverity::WARNING, file, 1, 0, kj::str("odd")); }) != "");
  CHECK(written([&](LineLog& log) { log.logMessage(kj::LogSeverity::INFO, "rpc-guard.c++", 1, 0, kj::str("x")); }) !=
        "");
}

}  // namespace
}  // namespace nexus
