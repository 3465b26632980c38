#pragma once
// What every command of nexusctl is: a path in the tree, options, and a run that gives a Report. Each is one file with
// one function that makes it; command-tree lists them. A command prints nothing itself.
#include <kj/async.h>

#include "idl/dsoftbus.capnp.h"
#include "tools/nexusctl/doors.h"
#include "tools/nexusctl/report.h"

namespace CLI {
class App;
}

namespace nexus::ctl {

// Options that stand before or after any command.
struct GlobalOptions {
  bool json = false;
  kj::String run;  // folder of the daemons' sockets
  kj::String bus;  // socket of dsoftbusd; empty: bus.sock in that folder
  kj::Duration timeout = 5 * kj::SECONDS;
};

struct Context {
  Doors& doors;
  const GlobalOptions& options;
};

class Command {
 public:
  virtual ~Command() noexcept(false) = default;

  virtual kj::StringPtr path() const = 0;     // "bus peers": its groups and its name
  virtual kj::StringPtr about() const = 0;    // one line
  virtual kj::StringPtr example() const = 0;  // the arguments after the path; may be empty

  // Adds options and arguments; what they set lives in the command.
  virtual void declare(CLI::App& app) {}

  virtual kj::Promise<Report> run(Context& context) = 0;

  // Whether it minds --timeout itself; otherwise the whole run is cut off then.
  virtual bool keepsTime() const { return false; }
};

// The bus of this node, or what to tell the user.
kj::OneOf<idl::DSoftBus::Client, Report> openBus(Context& context);

// Why `daemon` at `path` cannot be asked, with the remedy.
Report closedReport(Closed reason, kj::StringPtr daemon, kj::StringPtr path);

// What a failed call means to the user. Never shows where in the source it was thrown.
Report exceptionReport(const kj::Exception& exception);

Report timeoutReport(kj::Duration timeout);

}  // namespace nexus::ctl
