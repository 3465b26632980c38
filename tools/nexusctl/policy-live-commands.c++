#include "tools/nexusctl/policy-live-commands.h"

#include <CLI/CLI.hpp>
#include <string>

#include "tools/nexusctl/policy-source.h"

namespace nexus::ctl {

namespace {

using Outcome = idl::BusAdmin::Outcome;

kj::OneOf<idl::BusAdmin::Client, Report> openAdmin(Context& context, kj::StringPtr admin) {
  auto path = admin.size() > 0 ? kj::str(admin) : kj::str(context.options.run, "/bus-admin.sock");
  auto opened = context.doors.open(path);
  KJ_IF_MAYBE (reason, opened.tryGet<Closed>()) return closedReport(*reason, "dsoftbusd", path);
  return opened.get<capnp::Capability::Client>().castAs<idl::BusAdmin>();
}

kj::StringPtr outcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::APPLIED:
      return "applied"_kj;
    case Outcome::UNCHANGED:
      return "unchanged"_kj;
    case Outcome::REFUSED:
      return "refused"_kj;
    case Outcome::NO_FILE:
      return "no-file"_kj;
  }
  return "unknown"_kj;
}

Json texts(capnp::List<capnp::Text>::Reader list) {
  auto json = Json::array();
  for (auto text : list) json.add(clean(text));
  return json;
}

Report reloaded(idl::BusAdmin::ReloadResult::Reader result) {
  auto outcome = result.getOutcome();
  if (outcome == Outcome::REFUSED || outcome == Outcome::NO_FILE) {
    auto report = failure(Exit::BAD_CONFIG, kj::str("Nothing was changed: ", result.getSentence(), "."),
                          result.getNeedsRestart().size() > 0 ? "Restart dsoftbusd, or take these keys back."_kj
                                                              : "Mend the file; see: nexusctl policy check."_kj);
    report.json.set("needsRestart", texts(result.getNeedsRestart())).set("auditId", uint64_t(result.getAuditId()));
    return report;
  }
  Report report;
  report.json = document("nexus.policy-reload/1");
  report.json.set("outcome", outcomeName(outcome)).set("sentence", clean(result.getSentence()));
  report.json.set("changed", texts(result.getChanged())).set("generation", uint64_t(result.getGeneration()));
  report.json.set("streamsReset", uint64_t(result.getStreamsReset())).set("auditId", uint64_t(result.getAuditId()));
  report.text = kj::str(clean(result.getSentence()), '\n');
  return report;
}

Report modeReport(idl::PolicyState::Reader state) {
  bool dryRun = state.getMode() == idl::PolicyState::Mode::DRY_RUN;
  Report report;
  report.json = document("nexus.policy-mode/1");
  report.json.set("mode", dryRun ? "dry-run" : "enforce").set("generation", uint64_t(state.getGeneration()));
  report.json.set("rules", uint64_t(state.getRules().size()));
  report.json.set("candidateRules", uint64_t(state.getCandidate().size()));
  report.json.set("wouldAllow", uint64_t(state.getWouldAllow())).set("wouldDeny", uint64_t(state.getWouldDeny()));
  report.text = kj::str(dryRun ? "dry-run" : "enforce", ": policy ", state.getGeneration(), " with ",
                        state.getRules().size(), " rules decides\n");
  if (dryRun) {
    report.text =
        kj::str(report.text, "a candidate with ", state.getCandidate().size(), " rules is evaluated beside it\n");
  }
  report.text = kj::str(report.text, "since the start, a candidate would have allowed ", state.getWouldAllow(),
                        " that were denied, and denied ", state.getWouldDeny(), " that were allowed\n");
  return report;
}

class PolicyReloadCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "policy reload"_kj; }
  kj::StringPtr about() const override {
    return "have dsoftbusd read its configuration again: all of it or nothing"_kj;
  }
  kj::StringPtr example() const override { return ""_kj; }

  void declare(CLI::App& app) override {
    app.add_option("--admin", admin, "socket of bus-admin (default: bus-admin.sock in the folder of --run)");
  }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openAdmin(context, admin.c_str());
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto response = co_await opened.get<idl::BusAdmin::Client>().reloadRequest().send();
    co_return reloaded(response.getResult());
  }

 private:
  std::string admin;
};

class PolicyModeCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "policy mode"_kj; }
  kj::StringPtr about() const override {
    return "whether a candidate is evaluated beside the policy; begin or end that"_kj;
  }
  kj::StringPtr example() const override { return "dry-run --config candidate.toml"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("MODE", mode, "enforce: end a dry run; dry-run: begin one; nothing: only show")
        ->check(CLI::IsMember({"enforce", "dry-run"}));
    app.add_option("--config", config, "with dry-run: the configuration whose policy is the candidate");
    app.add_option("--admin", admin, "socket of bus-admin (default: bus-admin.sock in the folder of --run)");
  }

  kj::Promise<Report> run(Context& context) override {
    if ((mode == "dry-run") == config.empty()) {
      co_return failure(Exit::USAGE, "dry-run needs --config FILE, and nothing else takes it.",
                        "See: nexusctl policy mode --help.");
    }
    if (!mode.empty()) {
      auto changed = co_await change(context);
      KJ_IF_MAYBE (wrong, changed) co_return kj::mv(*wrong);
    }
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto response = co_await opened.get<idl::DSoftBus::Client>().policyRequest().send();
    co_return modeReport(response.getState());
  }

 private:
  std::string mode, config, admin;

  // Null when it was done.
  kj::Promise<kj::Maybe<Report>> change(Context& context) {
    auto opened = openAdmin(context, admin.c_str());
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto bus = opened.get<idl::BusAdmin::Client>();
    if (mode == "enforce") {
      co_await bus.dropCandidateRequest().send();
      co_return nullptr;
    }
    auto text = readTextFile(config.c_str());
    KJ_IF_MAYBE (wrong, text.tryGet<Report>()) co_return kj::mv(*wrong);
    auto request = bus.setCandidateRequest();
    request.setToml(text.get<kj::String>());
    auto response = co_await request.send();
    if (response.getOutcome() != Outcome::REFUSED) co_return nullptr;
    co_return failure(Exit::BAD_CONFIG, kj::str("No dry run was begun: ", response.getSentence(), "."));
  }
};

}  // namespace

kj::Own<Command> newPolicyReloadCommand() {
  return kj::heap<PolicyReloadCommand>();
}

kj::Own<Command> newPolicyModeCommand() {
  return kj::heap<PolicyModeCommand>();
}

}  // namespace nexus::ctl
