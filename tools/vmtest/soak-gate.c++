#include "tools/vmtest/soak-gate.h"

#include <kj/debug.h>

#include "tools/vmtest/guest-lines.h"
#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

namespace {

// A node that has made so many calls has reached every service of its peer.
constexpr uint64_t WARM_CALLS = 8;

bool isNewer(const StatusTraffic& a, const StatusTraffic& b) {
  return a.calls > b.calls && a.streamed > b.streamed;
}

}  // namespace

void SoakGate::begin(kj::TimePoint now) {
  stage = settings.enabled() ? Stage::WARMING_UP : Stage::DONE;
  for (auto& node : nodes) {
    node.grewAt = now;
    node.heldThen = held.total();
  }
}

kj::Maybe<GateFailure> SoakGate::advance(kj::TimePoint now) {
  if (!active()) return nullptr;
  auto problem = stage == Stage::REPORTING ? judgeReports() : stalled(now);
  if (problem != nullptr || !active()) return problem;
  switch (stage) {
    case Stage::WARMING_UP:
      for (auto& node : nodes) {
        if (node.last.calls < WARM_CALLS || node.last.streamed == 0) return nullptr;
      }
      orderBoth(TrafficOrder::Kind::SOAK_BEGIN);
      stage = Stage::RUNNING;
      roundStart = now;
      nextCheck = now + CHECK_INTERVAL;
      break;
    case Stage::RUNNING:
      if (now >= nextCheck) {
        checksDone++;
        nextCheck += CHECK_INTERVAL;
      }
      if (now < roundStart + settings.duration) return nullptr;
      roundStart = now;
      if (++roundsDone < settings.rounds) return nullptr;
      orderBoth(TrafficOrder::Kind::SOAK_END);
      stage = Stage::REPORTING;
      break;
    case Stage::IDLE:
    case Stage::REPORTING:
    case Stage::DONE:
      break;
  }
  return nullptr;
}

kj::Maybe<GateFailure> SoakGate::stalled(kj::TimePoint now) const {
  auto limit = STALL_LIMIT * int64_t(factor);
  for (kj::byte i = 0; i < 2; i++) {
    if (now - nodes[i].grewAt < limit + held.extra(limit, nodes[i].heldThen)) continue;
    return GateFailure{
        EXIT_STALLED, i,
        kj::str("the traffic of node ", NODE_NAMES[i], " stands still for ", limit / kj::SECONDS, " s: after ",
                nodes[i].last.calls, " calls and ", nodes[i].last.streamed, " bytes of the stream")};
  }
  return nullptr;
}

kj::Maybe<GateFailure> SoakGate::judgeReports() {
  for (kj::byte i = 0; i < 2; i++) {
    auto& node = nodes[i];
    if (node.counts != nullptr) continue;
    if (node.console == nullptr || node.status == nullptr) return nullptr;
    auto& console = KJ_ASSERT_NONNULL(node.console);
    auto& status = KJ_ASSERT_NONNULL(node.status);
    if (console != status) {
      return GateFailure{
          EXIT_DISAGREEMENT, i,
          kj::str("the soak's counts differ: the console says ", console, ", the status channel ", status)};
    }
    auto counts = parseTrafficText(status);
    KJ_IF_MAYBE (c, counts) {
      if (c->calls == 0 || c->streamed == 0)
        return GateFailure{EXIT_FAIL_LINE, i, kj::str("there was no traffic in the soak: ", status)};
      node.counts = *c;
    } else {
      return GateFailure{EXIT_DISAGREEMENT, i, kj::str("the soak's counts cannot be read: ", status)};
    }
  }
  stage = Stage::DONE;
  return nullptr;
}

void SoakGate::orderBoth(TrafficOrder::Kind kind) {
  for (kj::byte node = 0; node < 2; node++) commands.add(GuestCommand{node, TrafficOrder{kind}});
}

void SoakGate::line(kj::byte node, kj::StringPtr line) {
  auto& hits = nodes[node].hits;
  if (line.startsWith("dsoftbus:mux crossvm fail")) hits.muxFail++;
  if (line.startsWith("SELFTEST: remote ") && isFailLine(line)) hits.remoteFail++;
  if (isPanicLine(line)) hits.panic++;
  auto head = kj::str(marker::SELFTEST_SOAK.text, " (");
  if (line.startsWith(head) && line.endsWith(")"))
    nodes[node].console = kj::heapString(line.begin() + head.size(), line.size() - head.size() - 1);
}

void SoakGate::traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now) {
  auto& n = nodes[node];
  if (!isNewer(traffic, n.last)) return;
  n.last = traffic;
  n.grewAt = now;
  n.heldThen = held.total();
}

void SoakGate::step(kj::byte node, const StatusStep& step) {
  if (step.ok && step.name == KJ_ASSERT_NONNULL(stepName(marker::SELFTEST_SOAK.text)))
    nodes[node].status = kj::str(step.detail);
}

kj::Maybe<const StatusTraffic&> SoakGate::counts(kj::byte node) const {
  KJ_IF_MAYBE (c, nodes[node].counts) return *c;
  return nullptr;
}

kj::Maybe<StatusTraffic> parseTrafficText(kj::StringPtr text) {
  kj::String words[8];
  size_t count = 0, begin = 0;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != ' ') continue;
    if (count == 8) return nullptr;
    words[count++] = kj::heapString(text.begin() + begin, i - begin);
    begin = i + 1;
  }
  constexpr kj::StringPtr NAMES[] = {"calls"_kj, "failed"_kj, "bytes"_kj, "breaks"_kj};
  if (count != 8) return nullptr;
  for (size_t i = 0; i < 4; i++) {
    if (words[2 * i] != NAMES[i]) return nullptr;
  }
  // The numbers are the same as in the status message.
  auto parsed = parseStatus(kj::str("traffic ", words[1], ' ', words[3], ' ', words[5], ' ', words[7]).asArray());
  KJ_IF_MAYBE (message, parsed) return message->get<StatusTraffic>();
  return nullptr;
}

}  // namespace nexus::vmtest
