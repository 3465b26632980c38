#include "tools/nexusctl/command-tree.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/nexusctl/audit-tail-command.h"
#include "tools/nexusctl/bus-fetch-image-command.h"
#include "tools/nexusctl/bus-identity-commands.h"
#include "tools/nexusctl/bus-pairing-commands.h"
#include "tools/nexusctl/bus-peers-command.h"
#include "tools/nexusctl/bus-ping-command.h"
#include "tools/nexusctl/bus-read-command.h"
#include "tools/nexusctl/bus-rpc-command.h"
#include "tools/nexusctl/bus-service-commands.h"
#include "tools/nexusctl/bus-state-commands.h"
#include "tools/nexusctl/bus-streams-command.h"
#include "tools/nexusctl/policy-config-commands.h"
#include "tools/nexusctl/policy-diff-command.h"
#include "tools/nexusctl/policy-explain-command.h"
#include "tools/nexusctl/policy-live-commands.h"
#include "tools/nexusctl/policy-test-command.h"
#include "tools/nexusctl/status-command.h"

namespace nexus::ctl {

namespace {

constexpr auto ABOUT = "Asks the daemons of this node, and explains what they decide."_kj;
constexpr auto EXIT_CODES =
    "Exit: 0 ok, 1 failed, 2 usage, 3 denied, 4 not found or unreachable, 5 daemon not running, 6 timeout,\n"
    "      7 unsupported, 8 invalid configuration"_kj;

struct Group {
  const char* name;
  const char* about;
};
constexpr Group GROUPS[] = {
    {"bus", "the bus between nodes"},
    {"bus state", "values that a peer shares"},
    {"audit", "what was decided about other nodes"},
    {"policy", "what other nodes may do, and why"},
};

// One run: the tree, and where its options land.
class Run {
 public:
  Run(kj::Array<kj::String> args, Doors& doors, Entropy& entropy) : doors(doors), commands(allCommands(entropy)) {
    declareGlobals();
    for (auto& command : commands) place(*command);
    // CLI11 takes a vector from behind.
    for (size_t i = args.size(); i > 0; i--) reversed.push_back(args[i - 1].cStr());
    for (auto& arg : args) options.json = options.json || arg == "--json";  // a usage error is JSON too
  }

  kj::Promise<Result> execute() {
    auto early = parse();
    KJ_IF_MAYBE (result, early) return kj::mv(*result);
    options.run = kj::str(run.c_str());
    options.bus = kj::str(bus.c_str());
    options.timeout = timeoutMs * kj::MILLISECONDS;
    auto answered = kj::evalNow([this] { return chosen->run(context); }).catch_([](kj::Exception&& exception) {
      return exceptionReport(exception);
    });
    if (!chosen->keepsTime()) {
      auto timeout = options.timeout;
      answered =
          answered.exclusiveJoin(doors.timer().afterDelay(timeout).then([timeout] { return timeoutReport(timeout); }));
    }
    return answered.then([this](Report&& report) { return resultOf(report); });
  }

 private:
  Doors& doors;
  GlobalOptions options;
  Context context{doors, options};
  std::string run = "/run/nexus", bus;
  unsigned timeoutMs = 5000;
  CLI::App app{ABOUT.cStr(), "nexusctl"};
  kj::Vector<kj::Own<Command>> commands;
  Command* chosen = nullptr;
  std::vector<std::string> reversed;

  void declareGlobals() {
    app.require_subcommand(1);
    app.fallthrough();  // these may stand after the command too
    app.add_flag("--json", options.json, "print one JSON document");
    app.add_option("--run", run, "folder of the daemons' sockets")->capture_default_str();
    app.add_option("--bus", bus, "socket of dsoftbusd (default: bus.sock in that folder)");
    app.add_option("--timeout", timeoutMs, "how long to wait for an answer, milliseconds")
        ->check(CLI::Range(1u, 3600000u))
        ->capture_default_str();
    app.footer(EXIT_CODES.cStr());
    for (auto& group : GROUPS) add(group.name, group.about).require_subcommand(1);
  }

  // A group or command under the groups that its path names.
  CLI::App& add(const std::string& path, const std::string& about) {
    CLI::App* parent = &app;
    size_t from = 0;
    for (auto space = path.find(' '); space != std::string::npos; space = path.find(' ', from)) {
      parent = parent->get_subcommand(path.substr(from, space - from));
      from = space + 1;
    }
    return *parent->add_subcommand(path.substr(from), about);
  }

  void place(Command& command) {
    std::string path = command.path().cStr();
    auto* sub = &add(path, command.about().cStr());
    command.declare(*sub);
    std::string example = "Example: nexusctl " + path;
    if (command.example().size() > 0) example += std::string(" ") + command.example().cStr();
    sub->footer(example + "\nOptions that every command takes: nexusctl --help");
    sub->final_callback([this, &command] { chosen = &command; });
  }

  // What to say instead of running a command: help, or what is wrong with the command line.
  kj::Maybe<Result> parse() {
    try {
      app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
      return Result{Exit::OK, kj::str(app.help().c_str()), kj::String()};
    } catch (const CLI::ParseError& error) {
      return resultOf(wrongUsage(error));
    }
    return nullptr;
  }

  // CLI11 misses a command before it looks at words that it did not expect; the user wants to hear of the word, and of
  // the help of the command that was meant.
  Report wrongUsage(const CLI::ParseError& error) {
    std::string path = "nexusctl";
    CLI::App* meant = &app;
    for (auto found = meant->get_subcommands(); !found.empty(); found = meant->get_subcommands()) {
      meant = found.back();
      path += " " + meant->get_name();
    }
    auto see = kj::str("See: ", path.c_str(), " --help.");
    auto unexpected = app.remaining(true);
    if (unexpected.empty()) return failure(Exit::USAGE, error.what(), see);
    kj::StringPtr kind = unexpected.front().compare(0, 1, "-") == 0 ? "option"_kj : "command or argument"_kj;
    return failure(Exit::USAGE,
                   kj::str("There is no ", kind, " \"", clean(unexpected.front().c_str()), "\" of ", path.c_str(), "."),
                   see);
  }

  Result resultOf(const Report& report) const {
    auto printed = print(report, options.json);
    return {report.exit, kj::mv(printed.out), kj::mv(printed.err)};
  }
};

}  // namespace

kj::Vector<kj::Own<Command>> allCommands(Entropy& entropy) {
  kj::Vector<kj::Own<Command>> commands;
  commands.add(newStatusCommand());
  commands.add(newBusPeersCommand());
  commands.add(newBusPingCommand());
  commands.add(newBusFetchImageCommand());
  commands.add(newBusRpcCommand());
  commands.add(newBusResolveCommand());
  commands.add(newBusListCommand());
  commands.add(newBusQueryCommand());
  commands.add(newBusReadCommand());
  commands.add(newBusStateGetCommand());
  commands.add(newBusStatePutCommand());
  commands.add(newBusStateListCommand());
  commands.add(newBusStateDeleteCommand());
  commands.add(newBusStreamsCommand());
  commands.add(newBusKeygenCommand(entropy));
  commands.add(newBusRotateCommand(entropy));
  commands.add(newBusIdCommand());
  commands.add(newBusTrustCommand());
  commands.add(newBusPairCommand());
  commands.add(newBusUnpairCommand());
  commands.add(newBusRekeyCommand());
  commands.add(newBusTrustedCommand());
  commands.add(newAuditTailCommand());
  commands.add(newPolicyShowCommand());
  commands.add(newPolicyCheckCommand());
  commands.add(newPolicyExplainCommand());
  commands.add(newPolicyTestCommand());
  commands.add(newPolicyDiffCommand());
  commands.add(newPolicyReloadCommand());
  commands.add(newPolicyModeCommand());
  return commands;
}

kj::Promise<Result> execute(kj::Array<kj::String> args, Doors& doors, Entropy& entropy) {
  auto run = kj::heap<Run>(kj::mv(args), doors, entropy);
  auto promise = run->execute();
  return promise.attach(kj::mv(run));
}

}  // namespace nexus::ctl
