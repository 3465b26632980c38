#include "tools/vmtest/vmtest-main.h"

#include <errno.h>
#include <kj/debug.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/vmtest/diagnosis.h"
#include "tools/vmtest/report.h"
#include "tools/vmtest/run.h"

namespace nexus::vmtest {

namespace {

kj::Maybe<kj::String> variable(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr || *value == '\0') return nullptr;
  return kj::str(value);
}

kj::String currentFolder() {
  char buffer[PATH_MAX];
  KJ_ASSERT(getcwd(buffer, sizeof(buffer)) != nullptr, strerror(errno));
  return kj::str(buffer);
}

// Where Bazel put the files this program depends on.
kj::String runfilesRoot() {
  auto tests = variable("TEST_SRCDIR");
  KJ_IF_MAYBE (folder, tests) return kj::str(*folder, "/nexus");
  char buffer[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", buffer, sizeof(buffer) - 1);
  KJ_ASSERT(size > 0, strerror(errno));
  return kj::str(kj::heapString(buffer, size_t(size)), ".runfiles/nexus");
}

// A path of the user's, who typed it in another folder than Bazel runs us in.
kj::String userPath(kj::StringPtr path) {
  if (path.startsWith("/")) return kj::str(path);
  auto typedIn = variable("BUILD_WORKING_DIRECTORY");
  KJ_IF_MAYBE (folder, typedIn) return kj::str(*folder, '/', path);
  return kj::str(currentFolder(), '/', path);
}

RunEnvironment readEnvironment(const Options& options, const GuestArtifacts& artifacts) {
  RunEnvironment env;
  auto root = runfilesRoot();
  auto chosen = [&](const kj::Maybe<kj::String>& option, kj::StringPtr built) {
    KJ_IF_MAYBE (path, option) return userPath(*path);
    return kj::str(root, '/', built);
  };
  env.kernel = chosen(options.kernel, artifacts.kernel);
  env.initrd = chosen(options.initrd, artifacts.initrd);
  // Another kernel than the built one has another version, or none that is known.
  if (options.kernel == nullptr || options.kernelVersion != nullptr)
    env.kernelVersion = chosen(options.kernelVersion, artifacts.kernelVersion);
  env.searchPath = variable("PATH").orDefault([] { return kj::str("/usr/bin:/bin"); });
  auto testTemp = variable("TEST_TMPDIR");
  KJ_IF_MAYBE (folder, testTemp) {
    env.tempDir = kj::str(*folder);
  } else {
    env.tempDir = variable("TMPDIR").orDefault([] { return kj::str("/tmp"); });
  }
  env.testOutputs = variable("TEST_UNDECLARED_OUTPUTS_DIR");
  env.xmlOutput = variable("XML_OUTPUT_FILE");
  auto cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  KJ_IF_MAYBE (folder, cache) {
    env.cacheDir = kj::str(*folder, "/nexus-net");
  } else KJ_IF_MAYBE (folder, home) {
    env.cacheDir = kj::str(*folder, "/.cache/nexus-net");
  }
  auto term = variable("TERM").orDefault([] { return kj::str("dumb"); });
  bool terminal =
      isatty(STDOUT_FILENO) == 1 && term != "dumb" && variable("CI") == nullptr && env.testOutputs == nullptr;
  env.redraw = terminal;
  env.color = terminal && variable("NO_COLOR") == nullptr;
  env.github = variable("GITHUB_ACTIONS") != nullptr;
  return env;
}

kj::Promise<void> whenInterrupted(kj::UnixEventPort& port) {
  co_await port.onSignal(SIGINT)
      .exclusiveJoin(port.onSignal(SIGTERM))
      .exclusiveJoin(port.onSignal(SIGHUP))
      .ignoreResult();
}

int runProfile(Options options, const GuestArtifacts& artifacts) {
  if (options.list) {
    auto text = listText(*options.profile, options.late);
    kj::FdOutputStream(STDOUT_FILENO).write(text.begin(), text.size());
    return 0;
  }
  kj::Maybe<kj::String> out;
  KJ_IF_MAYBE (path, options.out) out = userPath(*path);
  options.out = kj::mv(out);
  if (options.qemu.findFirst('/') != nullptr) options.qemu = userPath(options.qemu);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) kj::UnixEventPort::captureSignal(signal);
  signal(SIGPIPE, SIG_IGN);
  auto env = readEnvironment(options, artifacts);
  auto io = kj::setupAsyncIo();
  return kj::heap<Run>(io, options, env)->execute(whenInterrupted(io.unixEventPort)).wait(io.waitScope);
}

// What went wrong while the guests ran. A disk that fills up has the status of one that is full from the start: of the
// number of a system call's error, an exception keeps its text.
int exitStatusOf(const kj::Exception& exception) {
  for (int full : {ENOSPC, EDQUOT}) {
    if (strstr(exception.getDescription().cStr(), strerror(full)) != nullptr) return EXIT_NO_SPACE;
  }
  return EXIT_UNEXPECTED;
}

}  // namespace

int vmtestMain(int argc, char** argv, kj::StringPtr program, kj::ArrayPtr<const Profile* const> profiles,
               const GuestArtifacts& artifacts) {
  auto args = kj::heapArrayBuilder<kj::StringPtr>(size_t(kj::max(argc - 1, 0)));
  for (int i = 1; i < argc; i++) args.add(argv[i]);
  auto say = [](int fd, kj::StringPtr text) { kj::FdOutputStream(fd).write(text.begin(), text.size()); };
  auto parsed = parseOptions(program, profiles, args.finish());
  KJ_SWITCH_ONEOF(parsed) {
    KJ_CASE_ONEOF(help, HelpRequest) {
      say(STDOUT_FILENO, help.text);
      return 0;
    }
    KJ_CASE_ONEOF(error, UsageError) {
      say(STDERR_FILENO, kj::str(program, ": ", error.message, "\n  see: bazel run //tools:", program, " -- --help\n"));
      return EXIT_USAGE;
    }
    KJ_CASE_ONEOF(options, Options) {
      int code = EXIT_UNEXPECTED;
      bool json = options.json;
      auto& profile = *options.profile;
      KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { code = runProfile(kj::mv(options), artifacts); })) {
        code = exitStatusOf(*exception);
        auto diagnosis = preflightDiagnosis(profile, code, exception->getDescription());
        say(STDERR_FILENO,
            kj::str("FAIL  ", diagnosis.code, " (exit ", code, ")\n  what      ", diagnosis.message, "\n  where     ",
                    exception->getFile(), ':', exception->getLine(), "\n  next      ", diagnosis.hint, '\n'));
        if (json) say(STDOUT_FILENO, preflightSummaryJson(profile, diagnosis, nullptr));
      }
      return code;
    }
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus::vmtest
