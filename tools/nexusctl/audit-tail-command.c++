#include "tools/nexusctl/audit-tail-command.h"

#include <CLI/CLI.hpp>

#include "daemons/dsoftbusd/remote/call-status.h"
#include "tools/nexusctl/audit-time.h"

namespace nexus::ctl {

namespace {

class AuditTailCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "audit tail"_kj; }
  kj::StringPtr about() const override { return "decisions about calls of other nodes, oldest first"_kj; }
  kj::StringPtr example() const override { return "--after 100"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("--after", after, "only records with a higher id")->capture_default_str();
  }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto request = opened.get<idl::DSoftBus::Client>().auditRequest();
    request.setAfter(after);
    auto response = co_await request.send();
    Report report;
    report.json = document("nexus.audit/1");
    auto list = Json::array();
    Table table(row("ID", "UTC", "VERDICT", "PEER", "SERVICE", "OPERATION", "BYTES", "REPEATS", "NOTE"));
    for (auto record : response.getRecords()) {
      auto orDash = [](kj::StringPtr text) { return text.size() > 0 ? text : "-"_kj; };
      auto dryRun = record.getDryRun() == idl::DryRunVerdict::SAME ? ""_kj : dryRunName(record.getDryRun());
      kj::StringPtr note = record.getChange().size() > 0 ? record.getChange() : capnp::Text::Reader(dryRun);
      auto time = auditTime(record);
      table.add(row(record.getId(), orDash(time), statusName(record.getVerdict()), orDash(record.getPeer()),
                    orDash(record.getService()), orDash(record.getOperation()), record.getRequestBytes(),
                    record.getRepeats(), note));
      Json item;
      item.set("id", uint64_t(record.getId())).set("time", time).set("timeMs", uint64_t(record.getTimeMs()));
      item.set("verdict", statusName(record.getVerdict())).set("peer", clean(record.getPeer()));
      item.set("service", clean(record.getService())).set("operation", clean(record.getOperation()));
      item.set("requestBytes", uint64_t(record.getRequestBytes())).set("repeats", uint64_t(record.getRepeats()));
      item.set("policy", uint64_t(record.getPolicyGeneration())).set("dryRun", dryRunName(record.getDryRun()));
      item.set("change", clean(record.getChange()));
      list.add(kj::mv(item));
    }
    uint64_t dropped = response.getDropped();
    report.json.set("records", kj::mv(list)).set("dropped", dropped);
    report.json.set("boot", clean(response.getBoot()));
    report.text = response.getRecords().size() > 0 ? table.text() : kj::str("no records after ", after, '\n');
    if (dropped > 0) report.text = kj::str(report.text, dropped, " older records were dropped from the ring\n");
    co_return report;
  }

 private:
  uint64_t after = 0;
};

}  // namespace

kj::Own<Command> newAuditTailCommand() {
  return kj::heap<AuditTailCommand>();
}

}  // namespace nexus::ctl
