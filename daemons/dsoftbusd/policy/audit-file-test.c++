#include "daemons/dsoftbusd/policy/audit-file.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

class FixedClock final : public kj::Clock {
 public:
  kj::Date now() const override { return kj::UNIX_EPOCH + 1795183506789ll * kj::MILLISECONDS; }
};

class MemoryFile final : public LineFile {
 public:
  explicit MemoryFile(kj::Vector<kj::String>& lines, bool& full) : lines(lines), full(full) {}
  kj::Maybe<kj::String> tryAppend(kj::StringPtr line) override {
    if (full) return kj::str("No space left on device");
    lines.add(kj::str(line));
    return nullptr;
  }

 private:
  kj::Vector<kj::String>& lines;
  bool& full;
};

class Lines final : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&& text) override { lines.add(kj::mv(text)); }
  kj::Vector<kj::String> lines;
};

#define HEAD(event) "{\"v\":1,\"boot\":\"00ff\",\"time\":\"2026-11-20T14:05:06.789Z\",\"event\":\"" event "\""

struct Fixture {
  Lines log;
  SimClock sim;
  FixedClock clock;
  kj::Vector<kj::String> lines;
  bool full = false;
  AuditFile file{kj::heap<MemoryFile>(lines, full), clock, sim.timer};
  AuditLog audit{sim.timer, AuditLog::DEFAULT_CAPACITY, clock};

  Fixture() {
    file.begin("00ff", "node-b");
    audit.setSink(file);
  }
  ~Fixture() { audit.setSink(nullptr); }
  void decide(kj::StringPtr service = "samgrd") {
    audit.append("node-a", service, "list", CallStatus::DENIED, 15, {2, idl::DryRunVerdict::SAME});
  }
};

TEST_CASE("the line of a record has the record's date, whatever the time is when it is written") {
  SimClock sim;
  FixedClock later;
  kj::Vector<kj::String> lines;
  bool full = false;
  AuditFile file(kj::heap<MemoryFile>(lines, full), later, sim.timer);
  AuditLog audit(sim.timer, AuditLog::DEFAULT_CAPACITY, sim.calendar);
  audit.setSink(file);
  KJ_DEFER(audit.setSink(nullptr));
  audit.append("node-a", "samgrd", "list", CallStatus::DENIED, 15);
  audit.appendChange("reload", CallStatus::OK, 2);
  REQUIRE(lines.size() == 2);
  for (auto& line : lines) CHECK(strstr(line.cStr(), "\"time\":\"2026-11-20T12:00:00.000Z\"") != nullptr);
}

TEST_CASE("golden lines: start, decision, dry run, repeats, change") {
  Fixture f;
  f.decide();
  f.audit.append("node-a", "sam\"g\\rd", "", CallStatus::OK, 0, {2, idl::DryRunVerdict::WOULD_DENY});
  for (int i = 0; i < 3; i++) f.audit.append("node-a", "samgrd", "", CallStatus::RATE_LIMITED, 1);
  f.sim.advance(2 * kj::SECONDS);
  f.audit.appendChange("reload changed: policy; policy 3", CallStatus::OK, 3);
  REQUIRE(f.lines.size() == 6);
  CHECK(f.lines[0] == HEAD("start") ",\"node\":\"node-b\"}");
  CHECK(f.lines[1] ==
        HEAD("decision") ",\"id\":1,\"peer\":\"node-a\",\"service\":\"samgrd\",\"operation\":\"list\","
                         "\"verdict\":\"denied\",\"bytes\":15,\"policy\":2}");
  CHECK(f.lines[2] ==
        HEAD("decision") ",\"id\":2,\"peer\":\"node-a\",\"service\":\"sam\\\"g\\\\rd\",\"operation\":\"\","
                         "\"verdict\":\"ok\",\"bytes\":0,\"policy\":2,\"dryRun\":\"would-deny\"}");
  CHECK(f.lines[4] == HEAD("repeats") ",\"id\":3,\"repeats\":2}");
  CHECK(f.lines[5] == HEAD("change") ",\"id\":4,\"verdict\":\"ok\",\"policy\":3,"
                                     "\"change\":\"reload changed: policy; policy 3\"}");
  CHECK(f.file.counters().lines == 6);
}

TEST_CASE("what a full disk swallows is counted, told by the next line that goes, and complained of once a second") {
  Fixture f;
  f.full = true;
  for (int i = 0; i < 50; i++) f.decide();
  CHECK(f.file.counters().lost == 50);
  CHECK(f.audit.lastId() == 50);  // the decisions have their records all the same
  auto complaints = [&] {
    size_t n = 0;
    for (auto& line : f.log.lines) n += line.startsWith("the audit file cannot be written") ? 1 : 0;
    return n;
  };
  CHECK(complaints() == 1);
  f.sim.advance(1 * kj::SECONDS);
  f.decide();
  CHECK(complaints() == 2);
  f.full = false;
  f.decide();
  f.decide();
  REQUIRE(f.lines.size() == 4);
  CHECK(f.lines[1] == HEAD("lost") ",\"lost\":51}");
  CHECK(f.file.counters().lost == 51);
  f.full = true;
  f.decide();
  f.full = false;
  f.decide();
  CHECK(f.lines[4] == HEAD("lost") ",\"lost\":1}");
}

TEST_CASE("no text of a peer makes a second line or breaks the JSON") {
  Fixture f;
  f.decide("a\nb\"},\x01\xff{");
  CHECK(f.lines.back().findFirst('\n') == nullptr);
  CHECK(strstr(f.lines.back().cStr(), "\"service\":\"a?b\\\"},??{\"") != nullptr);
}

}  // namespace
}  // namespace nexus
