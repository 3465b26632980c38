#pragma once
// What every daemon's main does: options, configuration, named imports and exports, signals, the end. The daemon itself
// is a function that gets a DaemonContext and its configuration; it holds no socket that was not handed to it.
//
//   --import nic=unix:/run/nexus/nic.sock   a capability behind a Unix socket path; comes back after its server was
//   restarted
//   --import device=fd:3                    a connected socket that was inherited
//   --export net=unix:/run/nexus/net.sock   a socket to make and serve
//   LISTEN_FDS, LISTEN_FDNAMES              inherited descriptors by name: a listening socket is an export, a connected
//   one an import
//
// SIGHUP: the configuration is read again, by daemons that can (dsoftbusd). `--check` reads the configuration and
// whatever it names as a start would, and ends. Exit status: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 usage (an
// option, an import that is missing, an export that the daemon does not have), 8 configuration.
#include <capnp/schema.h>
#include <kj/async-io.h>

#include "libs/nexus-net-os/base/entropy.h"
#include "libs/nexus-net-os/daemon/config-file.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"

namespace nexus {

class DaemonContext {
 public:
  virtual kj::AsyncIoContext& io() = 0;
  virtual kj::Timer& timer() = 0;
  virtual const kj::Clock& calendar() = 0;  // wall-clock time, which may jump
  virtual Entropy& entropy() = 0;

  // The import of that name; the same object each time. When it was not given: ends the daemon as wrong usage, naming
  // the option.
  virtual CapReconnect& import(kj::StringPtr name) = 0;
  virtual bool hasImport(kj::StringPtr name) = 0;

  // Serves the export of that name until the daemon ends. An export that was not given is not served: false.
  virtual bool serve(kj::StringPtr name, CapServer::Factory factory, const RpcLimits& limits = {}) = 0;

  // What the process exits with when `run` ends without an exception; 0 unless set.
  virtual void setExitStatus(int status) = 0;

  // The file of --config, to be read again later; null when none was given. To be asked for before the sandbox, which
  // has to let its folder be read (SandboxFolders).
  virtual kj::Maybe<ConfigFile&> configFile() = 0;

  // Resolves when SIGHUP asks for the configuration to be read again. A daemon that never asks ends by SIGHUP.
  virtual kj::Promise<void> whenReloadRequested() = 0;

  // The names of all exports that were given, served or not.
  virtual kj::Array<kj::String> exportNames() = 0;
};

// A wrong value in the configuration, found while it is put to use: thrown before anything was done, it ends the daemon
// with status 8 and this sentence, which names the key and what to write.
kj::Exception badConfiguration(kj::StringPtr sentence);

// An option, or the name of an import or export, that this daemon cannot do anything with: ends it with status 2 and
// this sentence.
kj::Exception wrongUsage(kj::StringPtr sentence);

// What `read` makes of the configuration; a failure of it is a wrong configuration.
template <typename Read>
auto readSettings(Read&& read) {
  try {
    return read();
  } catch (kj::Exception& exception) {
    throw badConfiguration(exception.getDescription());
  }
}

struct DaemonInfo {
  kj::StringPtr name;  // "netstackd": also the table of the configuration file
  kj::StringPtr description;
};

// Runs until the promise of `run` ends (its exception is printed as one sentence) or a signal asks for the end.
using DaemonRun = kj::Function<kj::Promise<void>(DaemonContext&, capnp::AnyStruct::Reader config)>;
// Fails as `run` would on values that make no sense, and does nothing else: what --check adds to the types.
using DaemonCheck = kj::Function<void(capnp::AnyStruct::Reader config)>;
int runDaemon(int argc, char* argv[], const DaemonInfo& info, capnp::StructSchema schema, DaemonCheck check,
              DaemonRun run);

template <typename Config, typename Check, typename Run>
int daemonMain(int argc, char* argv[], const DaemonInfo& info, Check&& check, Run&& run) {
  return runDaemon(
      argc, argv, info, capnp::Schema::from<Config>(),
      [&check](capnp::AnyStruct::Reader config) { check(config.as<Config>()); },
      [&run](DaemonContext& context, capnp::AnyStruct::Reader config) -> kj::Promise<void> {
        return run(context, config.as<Config>());
      });
}

// For a configuration in which every value of the right type can be used.
template <typename Config, typename Run>
int daemonMain(int argc, char* argv[], const DaemonInfo& info, Run&& run) {
  return daemonMain<Config>(argc, argv, info, [](typename Config::Reader) {}, run);
}

}  // namespace nexus
