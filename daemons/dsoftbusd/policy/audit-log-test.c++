#include "daemons/dsoftbusd/policy/audit-log.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include <string>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

// Collects the log lines of one test.
class Lines final : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&& text) override { lines.add(kj::mv(text)); }
  kj::Vector<kj::String> lines;
};

kj::Vector<uint64_t> idsAfter(const AuditLog& log, uint64_t after) {
  kj::Vector<uint64_t> ids;
  log.forEachAfter(after, [&](const AuditEntry& e) { ids.add(e.id); });
  return ids;
}

TEST_CASE("a record keeps who asked for what, the verdict, the size and the time") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer);
  sim.advance(7 * kj::MILLISECONDS);
  CHECK(log.append("node-a", "samgrd", "resolve-status", CallStatus::DENIED, 15) == 1);
  size_t seen = 0;
  log.forEachAfter(0, [&](const AuditEntry& e) {
    seen++;
    CHECK(e.id == 1);
    CHECK(e.time - kj::origin<kj::TimePoint>() == 7 * kj::MILLISECONDS);
    CHECK(e.peer == "node-a");
    CHECK(e.service == "samgrd");
    CHECK(e.operation == "resolve-status");
    CHECK(e.verdict == CallStatus::DENIED);
    CHECK(e.requestBytes == 15);
  });
  CHECK(seen == 1);
  REQUIRE(lines.lines.size() == 1);
}

TEST_CASE("a record is dated by the calendar it was made under, and a calendar that is set back changes no order") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer, AuditLog::DEFAULT_CAPACITY, sim.calendar);
  auto noon = sim.calendar.now();
  sim.advance(7 * kj::MILLISECONDS);
  log.append("node-a", "samgrd", "resolve-status", CallStatus::OK, 15);
  sim.calendar.set(noon - 1 * kj::HOURS);
  log.appendChange("reload", CallStatus::OK, 2);
  kj::Vector<kj::Date> dates;
  log.forEachAfter(0, [&](const AuditEntry& e) { dates.add(e.utc); });
  REQUIRE(dates.size() == 2);
  CHECK(dates[0] == noon + 7 * kj::MILLISECONDS);
  CHECK(dates[1] == noon - 1 * kj::HOURS);
  CHECK(idsAfter(log, 1).size() == 1);
}

TEST_CASE("an allowed call leaves a line too, once the log level is the daemon's") {
  kj::_::Debug::setLogLevel(kj::LogSeverity::INFO);
  KJ_DEFER(kj::_::Debug::setLogLevel(kj::LogSeverity::WARNING));
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer);
  log.append("node-a", "samgrd", "resolve-status", CallStatus::OK, 15);
  REQUIRE(lines.lines.size() == 1);
  std::string line = lines.lines[0].cStr();
  for (auto part : {"audit", "id = 1", "node-a", "samgrd", "resolve-status", "verdict = ok", "bytes = 15"}) {
    CHECK_MESSAGE(line.find(part) != std::string::npos, line);
  }
}

TEST_CASE("the ring drops the oldest record, counts it, and never uses an id twice") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer, 3);
  for (int i = 0; i < 5; i++) log.append("p", "s", "o", CallStatus::OK, 1);
  CHECK(log.size() == 3);
  CHECK(log.droppedCount() == 2);
  auto ids = idsAfter(log, 0);
  REQUIRE(ids.size() == 3);
  CHECK(ids[0] == 3);
  CHECK(ids[2] == 5);
  CHECK(idsAfter(log, 4).size() == 1);
  CHECK(idsAfter(log, 5).size() == 0);
}

TEST_CASE("calls above the rate share a record a second and peer, whatever was asked for; nothing else does") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer, 8);
  log.append("a", "s", "o", CallStatus::DENIED, 1);
  auto first = log.append("a", "s", "", CallStatus::RATE_LIMITED, 1);
  CHECK(log.append("b", "s", "", CallStatus::RATE_LIMITED, 1) != first);
  for (int i = 0; i < 1000; i++) CHECK(log.append("a", kj::str(i), "", CallStatus::RATE_LIMITED, 1) == first);
  CHECK(log.append("a", "s", "o", CallStatus::DENIED, 1) != first);
  CHECK(log.append("a", "s", "o", CallStatus::DENIED, 1) != first);
  CHECK(log.size() == 5);
  CHECK(log.droppedCount() == 0);
  log.forEachAfter(0, [&](const AuditEntry& e) { CHECK(e.repeats == (e.id == first ? 1000 : 0)); });
  sim.advance(AuditLog::FOLD);
  CHECK(log.append("a", "s", "", CallStatus::RATE_LIMITED, 1) == log.lastId());
  CHECK(log.size() == 6);
}

TEST_CASE("a flood of strangers leaves half of the ring to those who are known, and the other way round") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer, 8);
  auto count = [&](CallStatus verdict) {
    size_t n = 0;
    log.forEachAfter(0, [&](const AuditEntry& e) { n += e.verdict == verdict; });
    return n;
  };
  for (int i = 0; i < 8; i++) log.append("node-a", "s", "o", CallStatus::OK, 1);
  for (int i = 0; i < 100; i++) log.append(kj::str("stranger:", i), "s", "o", CallStatus::UNAUTHENTICATED, 1);
  CHECK(log.size() == 8);
  CHECK(log.droppedCount() == 100);
  CHECK(count(CallStatus::OK) == 3);
  CHECK(count(CallStatus::UNAUTHENTICATED) == 5);
  // The newest of each, oldest first.
  auto ids = idsAfter(log, 0);
  CHECK(ids[0] == 6);
  CHECK(ids[2] == 8);
  CHECK(ids[3] == 104);
  CHECK(ids[7] == 108);
  for (int i = 0; i < 100; i++) log.append("node-a", "s", "o", CallStatus::OK, 1);
  CHECK(log.size() == 8);
  CHECK(log.droppedCount() == 200);
  CHECK(count(CallStatus::OK) == 8);
}

TEST_CASE("texts of a peer are cut and made printable") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer);
  auto longName = kj::str("\x1b[2J\n", kj::repeat('x', 500));
  log.append("p", longName, "\xff\xfe", CallStatus::DENIED, 1);
  log.forEachAfter(0, [&](const AuditEntry& e) {
    CHECK(e.service.size() == AuditLog::MAX_TEXT);
    CHECK(e.service.startsWith("?[2J?xxx"));
    CHECK(e.operation == "??");
  });
}

TEST_CASE(
    "a flood of decisions keeps every record within the ring but not every line, and says how many were left out") {
  Lines lines;
  SimClock sim;
  AuditLog log(sim.timer, 1000);
  for (int i = 0; i < 500; i++) log.append("p", "s", "o", CallStatus::DENIED, 1);
  CHECK(log.size() == 500);
  CHECK(lines.lines.size() == 100);
  CHECK(log.unloggedCount() == 400);
  sim.advance(1 * kj::SECONDS);
  log.append("p", "s", "o", CallStatus::DENIED, 1);
  REQUIRE(lines.lines.size() == 101);
  CHECK(std::string(lines.lines.back().cStr()).find("omitted = 400") != std::string::npos);
}

class KeepingSink final : public AuditSink {
 public:
  void write(const AuditEntry& e) override { lines.add(kj::str(e.id, ' ', e.peer, e.change, ' ', e.repeats)); }
  void writeRepeats(const AuditEntry& e) override { lines.add(kj::str(e.id, " stands for ", e.repeats, " more")); }
  kj::Vector<kj::String> lines;
  kj::String all() const { return kj::strArray(lines, "; "); }
};

TEST_CASE("a sink hears each record once, and of folded calls how many there were when that is certain") {
  SimClock sim;
  KeepingSink sink;
  AuditLog log(sim.timer);
  log.setSink(sink);
  log.append("a", "samgrd", "list", CallStatus::OK, 1);
  for (int i = 0; i < 4; i++) log.append("a", "samgrd", "", CallStatus::RATE_LIMITED, 1);
  log.append("b", "samgrd", "", CallStatus::RATE_LIMITED, 1);  // never repeated: nothing more to say
  CHECK(sink.all() == "1 a 0; 2 a 0; 3 b 0");
  sim.advance(AuditLog::FOLD + 1 * kj::MILLISECONDS);
  CHECK(sink.all() == "1 a 0; 2 a 0; 3 b 0; 2 stands for 3 more");
  log.append("a", "samgrd", "", CallStatus::RATE_LIMITED, 1);
  log.append("a", "samgrd", "", CallStatus::RATE_LIMITED, 1);
  sim.advance(2 * kj::SECONDS);
  CHECK(sink.lines.back() == "4 stands for 1 more");
}

TEST_CASE("what the ring drops within the second, and what is folded at the end, is told all the same") {
  SimClock sim;
  KeepingSink sink;
  {
    AuditLog log(sim.timer, 2);
    log.setSink(sink);
    for (int i = 0; i < 3; i++) log.append("a", "samgrd", "", CallStatus::RATE_LIMITED, 1);
    log.append("b", "samgrd", "list", CallStatus::OK, 1);
    log.append("b", "samgrd", "list", CallStatus::OK, 1);
    CHECK(sink.all() == "1 a 0; 2 b 0; 1 stands for 2 more; 3 b 0");
    sim.advance(2 * kj::SECONDS);
    CHECK(sink.lines.size() == 4);  // once
    log.append("c", "", "", CallStatus::RATE_LIMITED, 1);
    log.append("c", "", "", CallStatus::RATE_LIMITED, 1);
  }
  CHECK(sink.lines.back() == "4 stands for 1 more");
}

TEST_CASE("a change of the configuration is a record of this node's own, printable and bounded") {
  SimClock sim;
  KeepingSink sink;
  AuditLog log(sim.timer);
  log.setSink(sink);
  auto id = log.appendChange(kj::str("policy\n", kj::repeat('x', 1000)), CallStatus::OK, 3);
  log.forEachAfter(0, [&](const AuditEntry& e) {
    CHECK(e.id == id);
    CHECK(e.peer == "");
    CHECK(e.policy.generation == 3);
    CHECK(e.change.startsWith("policy?x"));
    CHECK(e.change.size() == AuditLog::MAX_CHANGE);
  });
  CHECK(sink.lines.size() == 1);
}

}  // namespace
}  // namespace nexus
