#include "tools/nexusctl/status-command.h"

#include <CLI/CLI.hpp>

#include "idl/status.capnp.h"

namespace nexus::ctl {

namespace {

// From the wire up.
constexpr kj::StringPtr DAEMONS[] = {"virtionetd"_kj, "netstackd"_kj, "samgrd"_kj,   "bundlemgrd"_kj,
                                     "packagefsd"_kj, "statefsd"_kj,  "dsoftbusd"_kj};

struct CounterValue {
  kj::String name;
  uint64_t value;
};

struct Answer {
  kj::StringPtr daemon;
  Exit exit = Exit::OK;  // how asking it went
  kj::String health;     // or why there is none
  kj::String detail;
  uint64_t uptimeMs = 0;
  kj::Vector<CounterValue> counters;
};

kj::StringPtr healthName(idl::DaemonStatus::Health health) {
  switch (health) {
    case idl::DaemonStatus::Health::STARTING:
      return "starting"_kj;
    case idl::DaemonStatus::Health::UP:
      return "up"_kj;
    case idl::DaemonStatus::Health::DEGRADED:
      return "degraded"_kj;
    case idl::DaemonStatus::Health::FAILED:
      return "failed"_kj;
  }
  return "unknown"_kj;
}

Answer noAnswer(kj::StringPtr daemon, const Report& why) {
  Answer answer;
  answer.daemon = daemon;
  answer.exit = why.exit;
  answer.health = kj::str(exitName(why.exit));
  auto end = why.text.findFirst('\n').orDefault(why.text.size());
  answer.detail = kj::heapString(why.text.begin(), end);
  return answer;
}

Answer answerOf(kj::StringPtr daemon, idl::DaemonStatus::Reader status) {
  Answer answer;
  answer.daemon = daemon;
  answer.health = kj::str(healthName(status.getHealth()));
  answer.detail = clean(status.getDetail());
  answer.uptimeMs = status.getUptimeMs();
  for (auto counter : status.getCounters()) {
    answer.counters.add(CounterValue{clean(counter.getName()), counter.getValue()});
  }
  return answer;
}

class StatusCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "status"_kj; }
  kj::StringPtr about() const override { return "health, uptime and counters of the daemons of this node"_kj; }
  kj::StringPtr example() const override { return "--counters"_kj; }
  bool keepsTime() const override { return true; }

  void declare(CLI::App& app) override {
    app.add_flag("--counters", counters, "print the counters too (--json always has them)");
  }

  kj::Promise<Report> run(Context& context) override {
    auto asked = kj::heapArrayBuilder<kj::Promise<Answer>>(kj::size(DAEMONS));
    for (auto daemon : DAEMONS) asked.add(ask(context, daemon));
    auto answers = co_await kj::joinPromises(asked.finish());
    co_return report(answers);
  }

 private:
  bool counters = false;

  kj::Promise<Answer> ask(Context& context, kj::StringPtr daemon) {
    auto path = kj::str(context.options.run, "/status-", daemon, ".sock");
    auto opened = context.doors.open(path);
    KJ_IF_MAYBE (reason, opened.tryGet<Closed>()) return noAnswer(daemon, closedReport(*reason, daemon, path));
    auto timeout = context.options.timeout;
    return opened.get<capnp::Capability::Client>()
        .castAs<idl::Status>()
        .snapshotRequest()
        .send()
        .then([daemon](auto&& response) { return answerOf(daemon, response.getStatus()); },
              [daemon](kj::Exception&& exception) { return noAnswer(daemon, exceptionReport(exception)); })
        .exclusiveJoin(context.doors.timer().afterDelay(timeout).then(
            [daemon, timeout] { return noAnswer(daemon, timeoutReport(timeout)); }));
  }

  Report report(kj::ArrayPtr<const Answer> answers) {
    Report report;
    report.json = document("nexus.status/1");
    auto list = Json::array();
    Table table(row("DAEMON", "HEALTH", "UPTIME", "DETAIL"));
    Exit worst = Exit::OK;
    bool any = false;
    kj::Vector<kj::String> counterLines;
    for (auto& answer : answers) {
      bool answered = answer.exit == Exit::OK;
      any = any || answered;
      if (!answered && worst == Exit::OK) worst = answer.exit;
      table.add(
          row(answer.daemon, answer.health, answered ? durationText(answer.uptimeMs) : kj::str("-"), answer.detail));
      Json item;
      item.set("daemon", answer.daemon).set("reachable", answered).set("health", answer.health);
      item.set("detail", answer.detail).set("uptimeMs", answer.uptimeMs);
      Json values;
      for (auto& counter : answer.counters) {
        values.set(counter.name, counter.value);
        if (counters) counterLines.add(kj::str(answer.daemon, ' ', counter.name, ' ', counter.value, '\n'));
      }
      item.set("counters", kj::mv(values));
      list.add(kj::mv(item));
    }
    report.json.set("daemons", kj::mv(list));
    report.text = kj::str(table.text(), kj::strArray(counterLines, ""));
    // Some answered: that is an answer. None did: the first reason counts.
    if (!any) {
      report.exit = worst;
      report.failed = true;
      report.json.set("error", errorJson(worst, "No daemon of this node answered."));
    }
    return report;
  }
};

}  // namespace

kj::Own<Command> newStatusCommand() {
  return kj::heap<StatusCommand>();
}

}  // namespace nexus::ctl
