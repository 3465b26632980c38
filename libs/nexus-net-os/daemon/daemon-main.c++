#include "libs/nexus-net-os/daemon/daemon-main.h"

#include <capnp/any.h>
#include <capnp/dynamic.h>
#include <fcntl.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <kj/map.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <fstream>
#include <sstream>

#include "libs/nexus-net-os/base/unix-listen.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/nexus-net-os/daemon/log.h"
#include "libs/nexus-net-os/daemon/sandbox.h"
#include "libs/nexus-net-os/daemon/system-entropy.h"

namespace nexus {

namespace {

constexpr int EXIT_USAGE = 2;
constexpr int EXIT_CONFIG = 8;
constexpr int FIRST_LISTEN_FD = 3;
constexpr int BACKLOG = 64;
constexpr kj::uint EVENTS_PER_POLL = 32;  // a busy loop must not keep sockets and timers waiting

// In the place of a source file: an exception that is the user's to mend, and which exit status it is.
constexpr const char* USAGE_ORIGIN = "usage";
constexpr const char* CONFIG_ORIGIN = "configuration";

int exitStatusOf(const kj::Exception& exception) {
  kj::StringPtr origin = exception.getFile();
  return origin == USAGE_ORIGIN ? EXIT_USAGE : origin == CONFIG_ORIGIN ? EXIT_CONFIG : 1;
}

// KJ_REQUIRE(condition, "sentence") begins with the condition, which tells a user nothing.
kj::StringPtr sentenceOf(kj::StringPtr description) {
  if (!description.startsWith("expected ")) return description;
  for (size_t i = 0; i + 2 < description.size(); i++) {
    if (description.slice(i).startsWith("; ")) return description.slice(i + 2);
  }
  return description;
}

struct Endpoint {
  kj::String name;
  kj::Maybe<kj::String> path;  // else an inherited descriptor
  int fd = -1;
};

// "nic=unix:/run/nexus/nic.sock" or "device=fd:3".
kj::Maybe<Endpoint> tryParseEndpoint(const std::string& text) {
  kj::StringPtr all(text.c_str());
  KJ_IF_MAYBE (equals, all.findFirst('=')) {
    auto name = kj::heapString(all.slice(0, *equals));
    auto value = all.slice(*equals + 1);
    if (name.size() == 0) return nullptr;
    if (value.startsWith("unix:") && value.size() > 5) return Endpoint{kj::mv(name), kj::heapString(value.slice(5))};
    if (value.startsWith("fd:")) {
      return value.slice(3).tryParseAs<int>().map([&](int fd) { return Endpoint{kj::mv(name), nullptr, fd}; });
    }
  }
  return nullptr;
}

bool isListening(int fd) {
  int listening = 0;
  socklen_t length = sizeof(listening);
  KJ_SYSCALL(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length), "an inherited descriptor is not a socket",
             fd);
  return listening != 0;
}

struct Options {
  std::string configFile;
  std::vector<std::string> imports, exports;
  bool check = false;
};

class Context final : public DaemonContext, private kj::TaskSet::ErrorHandler {
 public:
  Context(kj::AsyncIoContext& io, const Options& options) : asyncIo(io), options(options), tasks(*this) {}

  void addImport(Endpoint endpoint) {
    CapReconnect::Connect connect;
    KJ_IF_MAYBE (path, endpoint.path) {
      connect = unixConnector(asyncIo.provider->getNetwork(), *path);
    } else {
      KJ_REQUIRE(fcntl(endpoint.fd, F_SETFD, FD_CLOEXEC) == 0, "no such inherited descriptor", endpoint.name,
                 endpoint.fd);
      auto stream = asyncIo.lowLevelProvider->wrapUnixSocketFd(kj::AutoCloseFd(endpoint.fd));
      connect = [stream = kj::mv(stream)]() mutable -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
        if (stream.get() == nullptr) return KJ_EXCEPTION(DISCONNECTED, "the inherited connection has ended");
        return kj::mv(stream);
      };
    }
    imports.insert(kj::mv(endpoint.name), kj::heap<CapReconnect>(kj::mv(connect)));
  }

  void addExport(Endpoint endpoint) {
    kj::AutoCloseFd fd(endpoint.fd);
    KJ_IF_MAYBE (path, endpoint.path) {
      if (path->size() > MAX_SOCKET_PATH)
        throw wrongUsage(kj::str("--export ", endpoint.name, ": a socket path has at most 107 bytes: ", *path));
      fd = listenUnix(*path, BACKLOG);
    }
    KJ_SYSCALL(fcntl(fd, F_SETFD, FD_CLOEXEC), "no such inherited descriptor", endpoint.name, endpoint.fd);
    exports.insert(kj::mv(endpoint.name), asyncIo.lowLevelProvider->wrapListenSocketFd(kj::mv(fd)));
  }

  // Resolves never; fails when a loop that should never end has ended.
  kj::Promise<void> whenBroken() {
    auto paf = kj::newPromiseAndFulfiller<void>();
    broken = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  // implements DaemonContext ----------------------------------------

  kj::AsyncIoContext& io() override { return asyncIo; }
  kj::Timer& timer() override { return asyncIo.provider->getTimer(); }
  const kj::Clock& calendar() override { return kj::systemPreciseCalendarClock(); }
  Entropy& entropy() override { return systemEntropy; }

  CapReconnect& import(kj::StringPtr name) override {
    KJ_IF_MAYBE (import, imports.find(name)) return **import;
    kj::throwFatalException(
        wrongUsage(kj::str("the import \"", name, "\" is missing: give --import ", name,
                           "=unix:PATH, or a connected socket of that name in LISTEN_FDS and LISTEN_FDNAMES")));
  }

  bool hasImport(kj::StringPtr name) override { return imports.find(name) != nullptr; }

  bool serve(kj::StringPtr name, CapServer::Factory factory, const RpcLimits& limits) override {
    auto entry = exports.findEntry(name);
    KJ_IF_MAYBE (e, entry) {
      KJ_REQUIRE(e->value.get() != nullptr, "served twice", name);
      auto& server = servers.add(kj::heap<CapServer>(kj::mv(factory), limits));
      tasks.add(server->listenLoop(kj::mv(e->value)));
      return true;
    }
    return false;
  }

  kj::Maybe<ConfigFile&> configFile() override {
    if (options.configFile.empty()) return nullptr;
    if (config == nullptr) config = kj::heap<ConfigFile>(options.configFile.c_str());
    return *KJ_ASSERT_NONNULL(config);
  }

  kj::Promise<void> whenReloadRequested() override {
    if (!capturesReload) kj::UnixEventPort::captureSignal(SIGHUP);
    capturesReload = true;
    return asyncIo.unixEventPort.onSignal(SIGHUP).ignoreResult();
  }

  void setExitStatus(int status) override { endStatus = status; }
  int exitStatus() const { return endStatus; }

  // No call is accepted any more, and everything that clients hold is dropped.
  void closeConnections() {
    tasks.clear();
    servers.clear();
  }

  kj::Array<kj::String> exportNames() override {
    return KJ_MAP(e, exports) {
      return kj::str(e.key);
    };
  }

 private:
  kj::AsyncIoContext& asyncIo;
  const Options& options;
  kj::Maybe<kj::Own<ConfigFile>> config;
  bool capturesReload = false;
  SystemEntropy systemEntropy;
  int endStatus = 0;
  kj::HashMap<kj::String, kj::Own<CapReconnect>> imports;
  kj::HashMap<kj::String, kj::Own<kj::ConnectionReceiver>> exports;
  kj::Vector<kj::Own<CapServer>> servers;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> broken;
  kj::TaskSet tasks;  // last: its promises use the rest

  // A daemon that can no longer accept is of no use: fatal.
  void taskFailed(kj::Exception&& exception) override {
    KJ_IF_MAYBE (f, broken) (*f)->reject(kj::mv(exception));
  }
};

// Everything given on the command line and inherited. Wrong usage when something is malformed.
void addEndpoints(Context& context, const Options& options) {
  for (auto& text : options.imports) {
    auto endpoint = tryParseEndpoint(text);
    KJ_IF_MAYBE (e, endpoint)
      context.addImport(kj::mv(*e));
    else
      throw wrongUsage(kj::str("--import ", text.c_str(), ": expected NAME=unix:PATH or NAME=fd:NUMBER"));
  }
  for (auto& text : options.exports) {
    auto endpoint = tryParseEndpoint(text);
    KJ_IF_MAYBE (e, endpoint)
      context.addExport(kj::mv(*e));
    else
      throw wrongUsage(kj::str("--export ", text.c_str(), ": expected NAME=unix:PATH or NAME=fd:NUMBER"));
  }
  auto* count = getenv("LISTEN_FDS");
  auto* names = getenv("LISTEN_FDNAMES");
  auto* pid = getenv("LISTEN_PID");
  if (count == nullptr || names == nullptr || (pid != nullptr && kj::StringPtr(pid).parseAs<pid_t>() != getpid()))
    return;
  int total = kj::StringPtr(count).parseAs<int>();
  std::istringstream list(names);
  std::string name;
  int fd = FIRST_LISTEN_FD;
  while (std::getline(list, name, ':')) {
    if (fd >= FIRST_LISTEN_FD + total)
      throw wrongUsage(kj::str("LISTEN_FDNAMES has more names than LISTEN_FDS says: ", count));
    Endpoint endpoint{kj::heapString(name.data(), name.size()), nullptr, fd};
    isListening(fd) ? context.addExport(kj::mv(endpoint)) : context.addImport(kj::mv(endpoint));
    fd++;
  }
}

// Every descriptor that was handed to this process on purpose.
kj::Array<int> inheritedFds(const Options& options) {
  kj::Vector<int> fds;
  for (auto* list : {&options.imports, &options.exports}) {
    for (auto& text : *list) {
      auto endpoint = tryParseEndpoint(text);
      KJ_IF_MAYBE (e, endpoint) fds.add(e->fd);
    }
  }
  if (auto* count = getenv("LISTEN_FDS")) {
    int total = kj::StringPtr(count).tryParseAs<int>().orDefault(0);
    for (int i = 0; i < total; i++) fds.add(FIRST_LISTEN_FD + i);
  }
  return fds.releaseAsArray();
}

kj::Maybe<ConfigError> readConfig(const Options& options, kj::StringPtr table, capnp::StructSchema schema,
                                  capnp::MessageBuilder& message) {
  if (options.configFile.empty()) {
    message.initRoot<capnp::DynamicStruct>(schema);
    return nullptr;
  }
  std::ifstream file(options.configFile);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return ConfigError{kj::str(options.configFile.c_str(), ": cannot be read")};
  return loadConfig(options.configFile.c_str(), text.str().c_str(), table, schema, message);
}

// The exit status when there is nothing left to do: help, a version, or options that make no sense.
kj::Maybe<int> parseOptions(int argc, char* argv[], const DaemonInfo& info, Options& options) {
  CLI::App app{info.description.cStr(), info.name.cStr()};
  app.add_option("--config", options.configFile, "TOML file; the table of this daemon is read")
      ->check(CLI::ExistingFile);
  app.add_option("--import", options.imports, "a capability to use: NAME=unix:PATH or NAME=fd:NUMBER");
  app.add_option("--export", options.exports, "a capability to serve: NAME=unix:PATH or NAME=fd:NUMBER");
  app.add_flag("--check", options.check, "check the configuration, as a start would, and stop");
  app.set_version_flag("--version", "nexus-net 0.1.0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : EXIT_USAGE;
  }
  return nullptr;
}

void complain(const DaemonInfo& info, kj::StringPtr what) {
  auto line = kj::str(info.name, ": ", what, '\n');
  (void)!write(STDERR_FILENO, line.begin(), line.size());
}

// Runs the daemon until it ends, fails, or is asked to end: its exit status. What it throws before it runs is thrown.
int serveUntilStopped(const DaemonInfo& info, const Options& options, DaemonRun run, capnp::AnyStruct::Reader config) {
  kj::UnixEventPort::captureSignal(SIGTERM);
  kj::UnixEventPort::captureSignal(SIGINT);
  signal(SIGPIPE, SIG_IGN);
  closeStrayFds(inheritedFds(options));
  auto io = kj::setupAsyncIo();
  io.waitScope.setBusyPollInterval(EVENTS_PER_POLL);
  Context context(io, options);
  addEndpoints(context, options);
  auto stopped = io.unixEventPort.onSignal(SIGTERM).exclusiveJoin(io.unixEventPort.onSignal(SIGINT)).ignoreResult();
  auto broken = context.whenBroken();
  bool ended = false;
  auto daemon = kj::evalNow([&] { return run(context, config); }).attach(kj::defer([&ended] { ended = true; })).fork();
  auto end = kj::runCatchingExceptions(
      [&] { daemon.addBranch().exclusiveJoin(kj::mv(broken)).exclusiveJoin(kj::mv(stopped)).wait(io.waitScope); });
  if (ended) {
    // What clients still hold refers to what is gone: the kernel closes their connections.
    int status = context.exitStatus();
    KJ_IF_MAYBE (exception, end) {
      complain(info, sentenceOf(exception->getDescription()));
      status = exitStatusOf(*exception);
    }
    _exit(status);
  }
  // The daemon is still whole: first its clients go, then it.
  context.closeConnections();
  KJ_IF_MAYBE (exception, end) kj::throwFatalException(kj::mv(*exception));
  return context.exitStatus();
}

}  // namespace

kj::Exception badConfiguration(kj::StringPtr sentence) {
  return kj::Exception(kj::Exception::Type::FAILED, CONFIG_ORIGIN, 0, kj::str(sentenceOf(sentence)));
}

kj::Exception wrongUsage(kj::StringPtr sentence) {
  return kj::Exception(kj::Exception::Type::FAILED, USAGE_ORIGIN, 0, kj::str(sentence));
}

int runDaemon(int argc, char* argv[], const DaemonInfo& info, capnp::StructSchema schema, DaemonCheck check,
              DaemonRun run) {
  LineLog log(info.name);
  Options options;
  auto done = parseOptions(argc, argv, info, options);
  KJ_IF_MAYBE (status, done) return *status;

  capnp::MallocMessageBuilder message;
  auto configError = readConfig(options, info.name, schema, message);
  KJ_IF_MAYBE (error, configError) {
    complain(info, error->message);
    return EXIT_CONFIG;
  }
  int status = 0;
  auto failure = kj::runCatchingExceptions([&] {
    auto config = message.getRoot<capnp::AnyStruct>().asReader();
    if (options.check) {
      check(config);
    } else {
      status = serveUntilStopped(info, options, kj::mv(run), config);
    }
  });
  KJ_IF_MAYBE (exception, failure) {
    complain(info, sentenceOf(exception->getDescription()));
    return exitStatusOf(*exception);
  }
  return status;
}

}  // namespace nexus
