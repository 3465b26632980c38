#include "tools/nexusctl/policy-diff-command.h"

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "daemons/dsoftbusd/policy/policy-diff.h"
#include "tools/nexusctl/policy-source.h"

namespace nexus::ctl {

namespace {

// paired: device ids of peers that the file does not list, by name, as far as they are known. A rule may name a peer
// that was paired, or will be; who that is, the file does not say.
using Devices = std::map<std::string, std::string>;

Allowances allowancesOf(const BusSettings& settings, const Devices& paired = {}) {
  Devices devices = paired;
  for (auto& peer : settings.trust) devices[peer.name.cStr()] = peer.identity.deviceId.cStr();
  Allowances allowances;
  for (auto& rule : settings.rules) {
    auto& device = devices[rule.peer.cStr()];
    for (auto& operation : rule.operations) allowances.add(rule.peer, device.c_str(), rule.service, operation);
  }
  return allowances;
}

Allowances allowancesOf(idl::PolicyState::Reader state) {
  Devices devices;
  for (auto peer : state.getPeers()) devices[peer.getName().cStr()] = peer.getDeviceId().cStr();
  Allowances allowances;
  for (auto rule : state.getRules()) {
    auto& device = devices[rule.getPeer().cStr()];
    for (auto operation : rule.getOperations()) {
      allowances.add(rule.getPeer(), device.c_str(), rule.getService(), operation);
    }
  }
  return allowances;
}

Devices pairedOf(idl::PolicyState::Reader state) {
  Devices devices;
  for (auto peer : state.getPeers()) {
    if (peer.getPaired()) devices[peer.getName().cStr()] = peer.getDeviceId().cStr();
  }
  return devices;
}

Json listed(kj::ArrayPtr<const Allowance> list) {
  auto json = Json::array();
  for (auto& a : list) {
    Json item;
    item.set("peer", clean(a.peer)).set("deviceId", clean(a.deviceId));
    item.set("service", clean(a.service)).set("operation", clean(a.operation));
    json.add(kj::mv(item));
  }
  return json;
}

// The device is shown where a name alone would say nothing: it means another one now.
void addLines(kj::Vector<kj::String>& lines, kj::StringPtr word, kj::ArrayPtr<const Allowance> list,
              kj::ArrayPtr<const Allowance> others) {
  for (auto& a : list) {
    bool otherDevice = false;
    for (auto& o : others) otherDevice = otherDevice || (o.peer == a.peer && o.deviceId != a.deviceId);
    auto device = otherDevice ? kj::str("  (device ", clean(a.deviceId).slice(0, 16), ")") : kj::String();
    lines.add(kj::str(word, ' ', clean(a.peer), ' ', clean(a.service), ' ', clean(a.operation), device, '\n'));
  }
}

Report differences(const Allowances& before, const Allowances& after) {
  auto diff = diffPolicies(before, after);
  Report report;
  report.json = document("nexus.policy-diff/1");
  bool same = diff.newlyAllowed.size() == 0 && diff.newlyDenied.size() == 0;
  report.json.set("same", same).set("newlyAllowed", listed(diff.newlyAllowed));
  report.json.set("newlyDenied", listed(diff.newlyDenied));
  kj::Vector<kj::String> lines;
  addLines(lines, "allow", diff.newlyAllowed, diff.newlyDenied);
  addLines(lines, "deny ", diff.newlyDenied, diff.newlyAllowed);
  lines.add(same ? kj::str("no difference in effect\n")
                 : kj::str(diff.newlyAllowed.size(), " newly allowed, ", diff.newlyDenied.size(), " newly denied\n"));
  report.text = kj::strArray(lines, "");
  if (!same) report.exit = Exit::OTHER;
  return report;
}

class PolicyDiffCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "policy diff"_kj; }
  kj::StringPtr about() const override {
    return "what one policy allows and another does not; exit 1 when they differ"_kj;
  }
  kj::StringPtr example() const override { return "new.toml"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("A", a, "a configuration file; alone: from the running dsoftbusd to this file")->required();
    app.add_option("B", b, "a configuration file: from A to B");
  }

  kj::Promise<Report> run(Context& context) override {
    auto first = readPolicyConfig(a.c_str());
    KJ_IF_MAYBE (wrong, first.tryGet<Report>()) co_return kj::mv(*wrong);
    auto& ofA = first.get<BusSettings>();
    if (!b.empty()) {
      auto second = readPolicyConfig(b.c_str());
      KJ_IF_MAYBE (wrong, second.tryGet<Report>()) co_return kj::mv(*wrong);
      co_return differences(allowancesOf(ofA), allowancesOf(second.get<BusSettings>()));
    }
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto response = co_await opened.get<idl::DSoftBus::Client>().policyRequest().send();
    // Paired peers stay, whatever the file lists.
    co_return differences(allowancesOf(response.getState()), allowancesOf(ofA, pairedOf(response.getState())));
  }

 private:
  std::string a, b;
};

}  // namespace

kj::Own<Command> newPolicyDiffCommand() {
  return kj::heap<PolicyDiffCommand>();
}

}  // namespace nexus::ctl
