#include "tools/vmtest/failure-text.h"

#include "tools/vmtest/chaos-view.h"
#include "tools/vmtest/ladder-view.h"

namespace nexus::vmtest {

namespace {

constexpr size_t TAIL_LINES = 8;
constexpr size_t NOTICE_COLUMNS = 180;
constexpr size_t ROW_COLUMNS = 76;

kj::String exitCodes(const RunState& state) {
  kj::Vector<kj::String> parts;
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    auto code = state.exitReport(node);
    KJ_IF_MAYBE (c, code) {
      parts.add(kj::str(*c));
    } else {
      parts.add(kj::str("-"));
    }
  }
  return kj::strArray(parts, " ");
}

// Of a host that had so much else to do that it shows; else empty.
kj::String heldText(const RunState& state) {
  auto held = state.heldTime().total();
  if (held < 2 * kj::SECONDS) return kj::String();
  return kj::str("the host ran other programs for ", secondsText(held), " in which a guest was ready to run");
}

}  // namespace

kj::Vector<kj::String> passText(const RunState& state, const RunFacts& facts,
                                kj::ArrayPtr<const Capture* const> captures) {
  kj::Vector<kj::String> lines;
  kj::Vector<kj::String> phases;
  for (auto& phase : state.profile().phases) {
    KJ_IF_MAYBE (d, state.phaseDuration(phase.phase)) phases.add(kj::str(phaseName(phase.phase), ' ', secondsText(*d)));
  }
  lines.add(kj::str("PASS  ", state.reachedCount(), '/', state.requiredCount(), " markers  ", secondsText(facts.total),
                    "  exit channel ", exitCodes(state),
                    facts.captured ? kj::str("  packets ", describeCounts(captures)) : kj::String()));
  // In lines that a narrow terminal has room for.
  kj::String row;
  for (auto& phase : phases) {
    if (row.size() + phase.size() > ROW_COLUMNS) {
      lines.add(kj::str(row, ','));
      row = kj::String();
    }
    row = row.size() == 0 ? kj::str("      ", phase) : kj::str(row, ", ", phase);
  }
  lines.add(kj::mv(row));
  for (auto& line : recoveryTable(state.latePhases().chaos())) lines.add(kj::str("      ", line));
  auto held = heldText(state);
  if (held.size() > 0) lines.add(kj::str("      ", held));
  for (auto& warning : state.warnings()) lines.add(kj::str("      warning: ", warning));
  lines.add(kj::str("      logs ", facts.outDir));
  return lines;
}

kj::Vector<kj::String> failureText(const RunState& state, const Failure& failure, const Diagnosis& diagnosis,
                                   const RunFacts& facts, kj::ArrayPtr<const LogTail> tails) {
  kj::Vector<kj::String> lines;
  auto row = [&](kj::StringPtr name, auto&&... parts) {
    lines.add(kj::str("  ", name, kj::repeat(' ', 10 - kj::min(name.size(), size_t(10))),
                      kj::fwd<decltype(parts)>(parts)...));
  };
  lines.add(kj::str("FAIL  ", phaseName(diagnosis.phase), "  ", diagnosis.code, " (exit ", diagnosis.exit, ")  after ",
                    secondsText(failure.at)));
  if (diagnosis.missingMarker.size() > 0) row("missing", "node ", diagnosis.node, ": \"", diagnosis.missingMarker, '"');
  row("what", diagnosis.message);
  auto held = heldText(state);
  if (held.size() > 0) row("host", held);
  if (diagnosis.phase == Phase::CHAOS) {
    auto table = recoveryTable(state.latePhases().chaos());
    for (size_t i = 0; i < table.size(); i++) row(i == 0 ? "recovery" : "", table[i]);
  }
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    auto last = state.lastMarker(node);
    row(node == 0 ? "last seen" : "", "node ", NODE_NAMES[node], ": ",
        last.size() == 0 ? kj::str("no marker at all") : kj::str('"', last, '"'));
  }
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    for (auto& event : state.serviceEvents(node)) {
      if (!event.endsWith(" started")) row("services", "node ", NODE_NAMES[node], ": ", event);
    }
  }
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    for (auto& notice : state.notices(node)) {
      auto cut = notice.size() > NOTICE_COLUMNS;
      row("logged", "node ", NODE_NAMES[node], ": ",
          kj::heapString(notice.begin(), kj::min(notice.size(), NOTICE_COLUMNS)), cut ? "..." : "");
    }
  }
  if (diagnosis.packets.size() > 0) row("packets", diagnosis.packets);
  row("likely", diagnosis.hint, ". Owner: ", diagnosis.subsystem);
  for (auto& warning : state.warnings()) row("warning", warning);
  auto log = [&](kj::StringPtr name) {
    return kj::str("less ", facts.outDir, '/', name, '-', diagnosis.node == "B" ? "B" : "A", ".log");
  };
  if (failure.kind == FailureKind::LAUNCH) {
    // Nothing ran that could have sent a packet.
    row("next", log("qemu"));
    if (facts.accel == "kvm") row("", "the same command with --accel tcg: KVM may not boot this kernel");
  } else if (facts.capturePath.size() > 0) {
    row("next", "tshark -r ", facts.capturePath, " -Y '", diagnosis.filter, "'");
  }
  bool first = failure.kind != FailureKind::LAUNCH && facts.capturePath.size() == 0;
  row(first ? "next" : "", log("uart"));
  if (failure.kind == FailureKind::SERVICE_DIED || failure.kind == FailureKind::GATE ||
      failure.kind == FailureKind::DISAGREEMENT)
    row("", log("status"));
  for (kj::byte node = 0; node < tails.size(); node++) {
    bool relevant = diagnosis.node == NODE_NAMES[node] || diagnosis.node == "-";
    if (!relevant || tails[node].lines.size() == 0) continue;
    auto& tail = tails[node].lines;
    size_t first = tail.size() > TAIL_LINES ? tail.size() - TAIL_LINES : 0;
    row("tail", "node ", NODE_NAMES[node], ", uart-", NODE_NAMES[node], ".log from line ",
        tails[node].firstNumber + first);
    for (size_t i = first; i < tail.size(); i++) lines.add(kj::str("    | ", tail[i]));
  }
  return lines;
}

}  // namespace nexus::vmtest
