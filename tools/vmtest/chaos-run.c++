#include "tools/vmtest/chaos-run.h"

#include <kj/debug.h>

namespace nexus::vmtest {

namespace {

constexpr kj::StringPtr KILLED = "signal 9"_kj;

kj::Maybe<uint32_t> slower(kj::Maybe<uint32_t> a, kj::Maybe<uint32_t> b) {
  KJ_IF_MAYBE (x, a) {
    KJ_IF_MAYBE (y, b) return kj::max(*x, *y);
  }
  return nullptr;
}

}  // namespace

ChaosRun::ChaosRun(kj::Array<ChaosEvent> plan, kj::uint factor, kj::Duration limit)
    : events(kj::mv(plan)), factor(factor), limit(limit), recoveries(kj::heapArray<Recovery>(events.size())) {}

void ChaosRun::begin(kj::TimePoint now) {
  enter(events.size() == 0 ? Stage::DONE : Stage::PAUSING, now);
}

void ChaosRun::enter(Stage next, kj::TimePoint now) {
  stage = next;
  entered = now;
  heldAtEntry = held.total();
  if (stage == Stage::ARMING) heldAtArming = held.total();
}

void ChaosRun::orderBoth(TrafficOrder::Kind kind) {
  for (kj::byte node = 0; node < 2; node++) commands.add(GuestCommand{node, TrafficOrder{kind, uint32_t(current)}});
}

// One event ----------------------------------------

void ChaosRun::beginEvent(kj::TimePoint now) {
  for (auto& node : nodes) node = Node();
  recoveries[current].begun = true;
  auto& event = events[current];
  isBack = event.kind == ChaosEvent::Kind::CUT;
  if (event.kind == ChaosEvent::Kind::CUT) {
    cut = true;
    enter(Stage::CUT, now);
  } else {
    orderBoth(TrafficOrder::Kind::ARM);
    enter(Stage::ARMING, now);
  }
}

// Both nodes have taken the time.
void ChaosRun::happen(kj::TimePoint now) {
  auto& event = events[current];
  if (event.kind == ChaosEvent::Kind::CUT) {
    cut = false;
    go(now);
  } else {
    commands.add(GuestCommand{event.node, KillCommand{kj::str(event.service)}});
    enter(Stage::KILLING, now);
  }
}

void ChaosRun::go(kj::TimePoint now) {
  orderBoth(TrafficOrder::Kind::GO);
  enter(Stage::RECOVERING, now);
}

bool ChaosRun::recovered() const {
  auto& r = recoveries[current];
  return isBack && r.callMs != nullptr && r.streamMs != nullptr;
}

void ChaosRun::finishEvent(kj::TimePoint now) {
  recoveries[current].over = true;
  current++;
  enter(current < events.size() ? Stage::PAUSING : Stage::DONE, now);
}

kj::Maybe<GateFailure> ChaosRun::advance(kj::TimePoint now) {
  auto answerLimit = ANSWER_LIMIT * int64_t(factor);
  switch (stage) {
    case Stage::PAUSING:
      if (now >= entered + PAUSE) beginEvent(now);
      break;
    case Stage::CUT:
      for (kj::byte i = 0; i < 2; i++) {
        if (!nodes[i].leaked) continue;
        return GateFailure{EXIT_CUT_LEAKED, i,
                           kj::str("calls of node ", NODE_NAMES[i], " were answered although the link was cut")};
      }
      if (now < entered + events[current].cut) break;
      orderBoth(TrafficOrder::Kind::ARM);
      enter(Stage::ARMING, now);
      break;
    case Stage::ARMING:
      for (kj::byte i = 0; i < 2; i++) {
        if (nodes[i].armed) continue;
        if (!isOver(answerLimit, now)) return nullptr;
        return GateFailure{EXIT_CALLS, i,
                           kj::str("before \"", events[current].text(), "\": the selftest of node ", NODE_NAMES[i],
                                   " did not take the time within ", answerLimit / kj::SECONDS, " s")};
      }
      happen(now);
      break;
    case Stage::KILLING:
      if (isOver(answerLimit, now)) {
        return GateFailure{
            EXIT_NOT_KILLED, events[current].node,
            kj::str(events[current].text(), ": no end of it was reported within ", answerLimit / kj::SECONDS, " s")};
      }
      break;
    case Stage::RECOVERING:
      return judgeRecovery(now);
    case Stage::IDLE:
    case Stage::DONE:
      break;
  }
  return nullptr;
}

kj::Maybe<GateFailure> ChaosRun::judgeRecovery(kj::TimePoint now) {
  recoveries[current].held = held.total() - heldAtArming;
  if (recovered()) {
    auto slow = overBudget();
    if (slow == nullptr) finishEvent(now);
    return slow;
  }
  if (!isOver(limit * int64_t(factor), now)) return nullptr;
  return missing();
}

kj::Maybe<GateFailure> ChaosRun::overBudget() const {
  auto& r = recoveries[current];
  auto ms = kj::max(KJ_ASSERT_NONNULL(r.callMs), KJ_ASSERT_NONNULL(r.streamMs));
  if (ms <= allowed(current) / kj::MILLISECONDS) return nullptr;
  auto busy = r.held / kj::MILLISECONDS;
  return GateFailure{EXIT_OVER_BUDGET, events[current].node,
                     kj::str(events[current].text(), ": recovered after ", ms, " ms, the budget is ",
                             budget(current) / kj::MILLISECONDS, " ms",
                             busy == 0 ? kj::String() : kj::str(", and ", busy, " ms more for a busy host"))};
}

bool ChaosRun::isLate(size_t event) const {
  auto& r = recoveries[event];
  if (r.callMs == nullptr || r.streamMs == nullptr) return false;
  auto ms = kj::max(KJ_ASSERT_NONNULL(r.callMs), KJ_ASSERT_NONNULL(r.streamMs));
  return ms > budget(event) / kj::MILLISECONDS && ms <= allowed(event) / kj::MILLISECONDS;
}

// What has not come of what must.
kj::Maybe<GateFailure> ChaosRun::missing() const {
  auto& event = events[current];
  auto within = kj::str(" within ", limit * int64_t(factor) / kj::SECONDS, " s");
  if (!isBack) {
    return GateFailure{EXIT_NOT_BACK, event.node,
                       kj::str(event.text(), ": ", event.service, " was not started again", within)};
  }
  for (kj::byte i = 0; i < 2; i++) {
    if (nodes[i].callMs == nullptr) {
      return GateFailure{
          EXIT_CALLS, i,
          kj::str(event.text(), ": the calls of node ", NODE_NAMES[i], " to its peer are not whole again", within)};
    }
  }
  for (kj::byte i = 0; i < 2; i++) {
    if (nodes[i].streamMs == nullptr) {
      return GateFailure{EXIT_STREAMS, i,
                         kj::str(event.text(), ": calls are answered again, but the stream of node ", NODE_NAMES[i],
                                 " is not open again", within)};
    }
  }
  return nullptr;
}

// What the guests tell ----------------------------------------

void ChaosRun::traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now) {
  if (stage != Stage::CUT || now < entered + CUT_SETTLES) return;
  auto& n = nodes[node];
  KJ_IF_MAYBE (before, n.callsInCut) {
    if (traffic.calls > *before) n.leaked = true;
  } else {
    n.callsInCut = traffic.calls;
  }
}

void ChaosRun::chaos(kj::byte node, const StatusChaos& message) {
  if (!active() || message.event != current) return;
  auto& n = nodes[node];
  switch (message.what) {
    case StatusChaos::What::ARMED:
      if (stage == Stage::ARMING) n.armed = true;
      return;
    case StatusChaos::What::CALL:
      if (stage == Stage::RECOVERING && n.callMs == nullptr) n.callMs = message.ms;
      break;
    case StatusChaos::What::STREAM:
      if (stage == Stage::RECOVERING && n.streamMs == nullptr) n.streamMs = message.ms;
      break;
  }
  recoveries[current].callMs = slower(nodes[0].callMs, nodes[1].callMs);
  recoveries[current].streamMs = slower(nodes[0].streamMs, nodes[1].streamMs);
}

bool ChaosRun::serviceEnded(kj::byte node, kj::StringPtr service, kj::StringPtr status, kj::TimePoint now) {
  if (!active() || current >= events.size()) return false;
  auto& event = events[current];
  if (event.kind != ChaosEvent::Kind::KILL || node != event.node) return false;
  if (service == event.service) {
    if (stage != Stage::KILLING || status != KILLED) return false;
    diedAt = now;
    go(now);
    return true;
  }
  return stage == Stage::RECOVERING && service == event.companion();
}

void ChaosRun::serviceStarted(kj::byte node, kj::StringPtr service, kj::TimePoint now) {
  if (stage != Stage::RECOVERING || isBack) return;
  auto& event = events[current];
  if (node != event.node || service != event.service) return;
  isBack = true;
  recoveries[current].back = now - diedAt;
}

// For views ----------------------------------------

size_t ChaosRun::overCount() const {
  size_t count = 0;
  for (auto& r : recoveries) count += r.over;
  return count;
}

kj::String ChaosRun::status() const {
  if (!active() || current >= events.size()) return kj::String();
  auto what = events[current].text();
  switch (stage) {
    case Stage::PAUSING:
      return kj::str("next: ", what);
    case Stage::CUT:
      return kj::str(what, ": the link is cut");
    case Stage::ARMING:
      return kj::str(what, ": the nodes take the time");
    case Stage::KILLING:
      return kj::str(what, ": waits for its end");
    case Stage::RECOVERING:
      if (!isBack) return kj::str(what, ": waits for its start");
      return kj::str(what, ": waits for ", recoveries[current].callMs == nullptr ? "calls" : "the streams");
    case Stage::IDLE:
    case Stage::DONE:
      break;
  }
  return kj::String();
}

}  // namespace nexus::vmtest
