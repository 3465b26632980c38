#include "tools/nexusctl/nexusctl.h"

#include <kj/async-io.h>
#include <kj/io.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "libs/nexus-net-os/daemon/system-entropy.h"
#include "tools/nexusctl/command-tree.h"
#include "tools/nexusctl/unix-doors.h"

namespace nexus::ctl {

namespace {

int runCommand(kj::Array<kj::String> args) {
  auto io = kj::setupAsyncIo();
  UnixDoors doors(io);
  SystemEntropy entropy;
  auto result = execute(kj::mv(args), doors, entropy).wait(io.waitScope);
  kj::FdOutputStream(STDOUT_FILENO).write(result.out.begin(), result.out.size());
  kj::FdOutputStream(STDERR_FILENO).write(result.err.begin(), result.err.size());
  return int(result.exit);
}

}  // namespace

int nexusctlMain(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  // `bazel run` starts programs elsewhere and says where the command was typed: paths are meant from there.
  if (auto* typedIn = getenv("BUILD_WORKING_DIRECTORY")) (void)!chdir(typedIn);
  auto args = kj::heapArrayBuilder<kj::String>(argc > 0 ? argc - 1 : 0);
  for (int i = 1; i < argc; i++) args.add(kj::str(argv[i]));
  int status = int(Exit::OTHER);
  // Nothing above the tree throws but a closed standard output; then there is nobody to tell.
  auto failed = kj::runCatchingExceptions([&] { status = runCommand(args.finish()); });
  return failed == nullptr ? status : int(Exit::OTHER);
}

}  // namespace nexus::ctl
