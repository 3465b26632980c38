#include "tools/nexusctl/policy-explain-command.h"

#include <CLI/CLI.hpp>
#include <string>

#include "daemons/dsoftbusd/remote/call-status.h"
#include "tools/nexusctl/audit-time.h"
#include "tools/nexusctl/policy-source.h"

namespace nexus::ctl {

namespace {

Report explained(idl::PolicyExplanation::Reader explanation) {
  Report report;
  report.json = document("nexus.explanation/2");
  addExplanation(report.json, explanation);
  report.text = explanationText(explanation);
  return report;
}

// What the record is about: only what it names.
kj::String subject(idl::AuditRecord::Reader record) {
  if (record.getChange().size() > 0) return kj::str("configuration of this node");
  kj::Vector<kj::String> parts;
  auto add = [&](kj::StringPtr what, kj::StringPtr name) {
    if (name.size() > 0) parts.add(kj::str(what, ' ', clean(name)));
  };
  add("peer"_kj, record.getPeer());
  add("service"_kj, record.getService());
  bool aboutCall = record.getService().size() > 0;
  if (aboutCall && record.getOperation().size() == 0) parts.add(kj::str("operation -"));
  add(aboutCall ? "operation"_kj : "event"_kj, record.getOperation());
  return kj::strArray(parts, "  ");
}

Report explainedRecord(idl::AuditRecord::Reader record, idl::PolicyExplanation::Reader explanation) {
  auto report = explained(explanation);
  auto time = auditTime(record);
  Json audit;
  audit.set("id", uint64_t(record.getId())).set("time", time).set("verdict", statusName(record.getVerdict()));
  audit.set("peer", clean(record.getPeer())).set("service", clean(record.getService()));
  audit.set("operation", clean(record.getOperation())).set("change", clean(record.getChange()));
  report.json.set("audit", kj::mv(audit));
  report.text = kj::str("audit ", record.getId(), ": ", statusName(record.getVerdict()), "  ", subject(record),
                        time.size() > 0 ? kj::str("  at ", time) : kj::String(), '\n', report.text);
  return report;
}

class PolicyExplainCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "policy explain"_kj; }
  kj::StringPtr about() const override { return "why a call of another node is allowed or denied"_kj; }
  kj::StringPtr example() const override { return "--peer node-b --service samgrd --op resolve-status"_kj; }

  void declare(CLI::App& app) override {
    auto* p = app.add_option("--peer", peer, "name in the trust table");
    auto* s = app.add_option("--service", service, "samgrd, bundlemgrd, stream:NAME");
    auto* o = app.add_option("--op", operation, "resolve-status, list, open");
    auto* c = app.add_option("--config", config, "ask this configuration file instead of the running dsoftbusd");
    p->needs(s)->needs(o);
    s->needs(p);
    o->needs(p);
    auto* a = app.add_option("--audit", auditId, "id of an audit record of this node");
    for (auto* other : {p, s, o, c}) a->excludes(other);
  }

  kj::Promise<Report> run(Context& context) override {
    if (auditId != 0) return explainAudit(context);
    if (peer.empty()) {
      return failure(Exit::USAGE, "Give either --audit, or --peer, --service and --op.",
                     "See: nexusctl policy explain --help.");
    }
    auto opened = openPolicySource(context, config.c_str());
    KJ_IF_MAYBE (wrong, opened.tryGet<Report>()) return kj::mv(*wrong);
    auto& source = opened.get<kj::Own<PolicySource>>();
    auto answer = source->explain({peer.c_str(), service.c_str(), operation.c_str()}, explained);
    return answer.attach(kj::mv(source));
  }

 private:
  std::string peer, service, operation, config;
  uint64_t auditId = 0;

  kj::Promise<Report> explainAudit(Context& context) {
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto request = opened.get<idl::DSoftBus::Client>().explainAuditRequest();
    request.setAuditId(auditId);
    auto response = co_await request.send();
    switch (response.getOutcome()) {
      case idl::DSoftBus::AuditOutcome::OK:
        co_return explainedRecord(response.getRecord(), response.getExplanation());
      case idl::DSoftBus::AuditOutcome::NEVER_GIVEN:
        co_return failure(Exit::NOT_FOUND, kj::str("There is no audit record ", auditId, " on this node."),
                          "An id belongs to the node that refused, since its dsoftbusd was started.");
      case idl::DSoftBus::AuditOutcome::DROPPED:
        co_return failure(Exit::NOT_FOUND, kj::str("The audit record ", auditId, " was dropped from the ring."),
                          "The log of dsoftbusd may still have its line.");
    }
    co_return failure(Exit::UNSUPPORTED, "The daemon answered with an outcome that this nexusctl does not know.");
  }
};

}  // namespace

kj::Own<Command> newPolicyExplainCommand() {
  return kj::heap<PolicyExplainCommand>();
}

}  // namespace nexus::ctl
