#include "tools/nexusctl/policy-config-commands.h"

#include <CLI/CLI.hpp>
#include <string>

#include "daemons/dsoftbusd/remote/remote-services.h"
#include "tools/nexusctl/policy-source.h"

namespace nexus::ctl {

namespace {

Report shownLive(idl::PolicyState::Reader state) {
  Report report;
  report.json = document("nexus.policy/1");
  auto list = Json::array();
  Table table(row("RULE", "PEER", "SERVICE", "OPERATIONS"));
  for (auto rule : state.getRules()) {
    auto operations = Json::array();
    kj::Vector<kj::String> names;
    for (auto operation : rule.getOperations()) operations.add(clean(operation)), names.add(clean(operation));
    table.add(row(rule.getIndex(), rule.getPeer(), rule.getService(), kj::strArray(names, ",")));
    Json item;
    item.set("index", uint64_t(rule.getIndex())).set("peer", clean(rule.getPeer()));
    item.set("service", clean(rule.getService())).set("operations", kj::mv(operations));
    list.add(kj::mv(item));
  }
  bool dryRun = state.getMode() == idl::PolicyState::Mode::DRY_RUN;
  report.json.set("generation", uint64_t(state.getGeneration())).set("mode", dryRun ? "dry-run" : "enforce");
  report.json.set("default", "deny").set("rules", kj::mv(list));
  report.text = kj::str(table.text(), "what no rule allows is denied; this is policy ", state.getGeneration(),
                        " of the running dsoftbusd, mode ", dryRun ? "dry-run" : "enforce", '\n');
  return report;
}

Report shown(const BusSettings& settings) {
  Report report;
  report.json = document("nexus.policy/1");
  auto list = Json::array();
  Table table(row("RULE", "PEER", "SERVICE", "OPERATIONS"));
  for (auto i : kj::indices(settings.rules)) {
    auto& rule = settings.rules[i];
    table.add(row(i, rule.peer, rule.service, kj::strArray(rule.operations, ",")));
    Json item;
    auto operations = Json::array();
    for (auto& operation : rule.operations) operations.add(clean(operation));
    item.set("index", uint64_t(i)).set("peer", clean(rule.peer)).set("service", clean(rule.service));
    item.set("operations", kj::mv(operations));
    list.add(kj::mv(item));
  }
  report.json.set("node", clean(settings.nodeName)).set("default", "deny").set("rules", kj::mv(list));
  report.text = kj::str(table.text(), "what no rule allows is denied\n");
  return report;
}

// The imports without which dsoftbusd starts, and some rule is of no use.
kj::Vector<kj::StringPtr> optionalImports(const BusSettings& settings) {
  kj::Vector<kj::StringPtr> imports;
  for (auto& service : remoteServices()) {
    bool named = false;
    for (auto& rule : settings.rules) named = named || rule.service == service.name;
    if (named && service.optionalImport.size() > 0) imports.add(service.optionalImport);
  }
  return imports;
}

Report checked(kj::StringPtr path, const BusSettings& settings) {
  Report report;
  report.json = document("nexus.policy-check/1");
  report.json.set("file", clean(path)).set("ok", true).set("rules", uint64_t(settings.rules.size()));
  report.json.set("peers", uint64_t(settings.trust.size())).set("testKeys", settings.usesTestKeys);
  auto needed = Json::array();
  kj::Vector<kj::String> lines;
  for (auto import : optionalImports(settings)) {
    needed.add(import);
    lines.add(kj::str("the rules need dsoftbusd to be started with --import ", import,
                      "=...; without it their calls are answered backend failed\n"));
  }
  report.json.set("optionalImports", kj::mv(needed));
  report.text = kj::str(clean(path), ": ok, ", settings.rules.size(), " rules, ", settings.trust.size(), " peers",
                        settings.usesTestKeys ? ", publicly known TEST keys" : "", '\n', kj::strArray(lines, ""));
  return report;
}

class PolicyConfigCommand final : public Command {
 public:
  explicit PolicyConfigCommand(bool show) : show(show) {}

  kj::StringPtr path() const override { return show ? "policy show"_kj : "policy check"_kj; }
  kj::StringPtr about() const override {
    return show ? "the rules of the running dsoftbusd, or of a configuration as it would take them"_kj
                : "whether dsoftbusd would take a configuration, and what is wrong"_kj;
  }
  kj::StringPtr example() const override { return "--config dsoftbusd.toml"_kj; }

  void declare(CLI::App& app) override {
    auto* option = app.add_option(
        "--config", config,
        show ? "this configuration file (TOML) instead of the running dsoftbusd" : "the configuration file (TOML)");
    if (!show) option->required();
  }

  kj::Promise<Report> run(Context& context) override {
    if (config.empty()) {
      auto opened = openBus(context);
      KJ_IF_MAYBE (closed, opened.tryGet<Report>()) return kj::mv(*closed);
      return opened.get<idl::DSoftBus::Client>().policyRequest().send().then(
          [](auto&& response) { return shownLive(response.getState()); });
    }
    auto settings = readPolicyConfig(config.c_str());
    KJ_IF_MAYBE (wrong, settings.tryGet<Report>()) return kj::mv(*wrong);
    auto& good = settings.get<BusSettings>();
    return show ? shown(good) : checked(config.c_str(), good);
  }

 private:
  bool show;
  std::string config;
};

}  // namespace

kj::Own<Command> newPolicyShowCommand() {
  return kj::heap<PolicyConfigCommand>(true);
}

kj::Own<Command> newPolicyCheckCommand() {
  return kj::heap<PolicyConfigCommand>(false);
}

}  // namespace nexus::ctl
