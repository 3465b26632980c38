#include "tools/vmtest/ladder-view.h"

#include <kj/debug.h>

#include "tools/vmtest/chaos-view.h"

namespace nexus::vmtest {

namespace {

constexpr kj::StringPtr GREEN = "\x1b[32m"_kj, RED = "\x1b[31m"_kj, YELLOW = "\x1b[33m"_kj, DIM = "\x1b[2m"_kj,
                        RESET = "\x1b[0m"_kj;
constexpr kj::uint PHASE_COLUMN = 12;

kj::String padded(kj::StringPtr text, size_t width) {
  if (text.size() >= width) return kj::heapString(text.begin(), width);
  return kj::str(text, kj::repeat(' ', width - text.size()));
}

kj::String painted(kj::StringPtr text, kj::StringPtr color, const ViewStyle& style) {
  return style.color ? kj::str(color, text, RESET) : kj::str(text);
}

// A marker without the name of who prints it, for narrow columns.
kj::StringPtr shortText(kj::StringPtr text) {
  for (auto prefix : {"SELFTEST: "_kj, "dsoftbusd: "_kj, "dsoftbus:"_kj, "net: "_kj}) {
    if (text.startsWith(prefix)) return text.slice(prefix.size());
  }
  return text;
}

bool shown(const RunState& state, size_t i) {
  auto& rung = state.profile().rungs[i];
  if (!state.inScope(rung)) return false;
  return rung.need == Need::REQUIRED || (rung.need == Need::INFO && state.reached(i) != nullptr);
}

bool isBlamed(const RunState& state, const Rung& rung) {
  KJ_IF_MAYBE (failure, state.failure()) return failure->rung == &rung;
  return false;
}

// One marker in `width` columns: verdict, time, text, and the wait when this is what the run waits for.
kj::String cell(const RunState& state, size_t i, size_t width, bool waiting, kj::TimePoint now,
                const ViewStyle& style) {
  auto& rung = state.profile().rungs[i];
  bool narrow = width < 70;
  auto text = rung.text();
  kj::StringPtr name = narrow ? shortText(text) : kj::StringPtr(text);
  KJ_IF_MAYBE (reached, state.reached(i)) {
    kj::StringPtr line =
        reached->line.startsWith(rung.marker->text) || reached->byAlternative ? kj::StringPtr(reached->line) : name;
    auto head = painted(reached->byAlternative ? "warn" : "ok  ", reached->byAlternative ? YELLOW : GREEN, style);
    auto time = kj::str('+', secondsText(reached->at));
    auto body = padded(
        kj::str(kj::repeat(' ', 8 - kj::min(time.size(), size_t(8))), time, "  ", narrow ? shortText(line) : line),
        width - 5);
    return kj::str(head, ' ', rung.need == Need::INFO ? painted(body, DIM, style) : kj::mv(body));
  }
  if (isBlamed(state, rung))
    return kj::str(painted("FAIL", RED, style), ' ', padded(kj::str("          ", name), width - 5));
  if (!waiting) return kj::str("    ", ' ', painted(padded(kj::str("          ", name), width - 5), DIM, style));
  auto wait = kj::str(secondsText(state.phaseElapsed(now)), " of ", secondsText(state.budget(rung.phase)));
  auto rest = narrow ? kj::str(name, "  ", wait) : kj::str(name, "  ", wait, "  (owner ", rung.marker->owner, ')');
  return kj::str(painted("..  ", YELLOW, style), ' ', padded(kj::str("          ", rest), width - 5));
}

bool isAwaited(const RunState& state, size_t i) {
  auto& rung = state.profile().rungs[i];
  if (state.stage() != Stage::RUNNING || rung.phase != state.phase() || rung.need != Need::REQUIRED) return false;
  for (size_t j = 0; j < i; j++) {
    auto& other = state.profile().rungs[j];
    if (other.node == rung.node && other.phase == rung.phase && other.need == Need::REQUIRED &&
        state.reached(j) == nullptr)
      return false;
  }
  return state.reached(i) == nullptr;
}

}  // namespace

kj::String secondsText(kj::Duration duration) {
  auto tenths = duration / (100 * kj::MILLISECONDS);
  return kj::str(tenths / 10, '.', tenths % 10, " s");
}

kj::Maybe<kj::String> waitingFor(const RunState& state, kj::TimePoint now) {
  for (size_t i = 0; i < state.profile().rungs.size(); i++) {
    if (!isAwaited(state, i)) continue;
    auto& rung = state.profile().rungs[i];
    return kj::str('"', rung.text(), "\" on ", NODE_NAMES[rung.node], ", ", secondsText(state.phaseElapsed(now)),
                   " of ", secondsText(state.budget(rung.phase)), " (owner ", rung.marker->owner, ')');
  }
  return nullptr;
}

namespace {

struct Layout {
  bool two;
  kj::uint cellWidth;
};

// What the phase does now besides waiting for its markers.
void addChaosLines(const RunState& state, const ViewStyle& style, kj::Vector<kj::String>& lines) {
  auto& chaos = state.latePhases().chaos();
  size_t width = kj::max(style.width, 60u) - PHASE_COLUMN - 5;
  auto add = [&](kj::StringPtr verdict, kj::StringPtr color, kj::StringPtr text) {
    auto fits = kj::heapString(text.begin(), kj::min(text.size(), width));
    lines.add(kj::str(kj::repeat(' ', PHASE_COLUMN), painted(verdict, color, style), ' ', fits));
  };
  auto status = chaos.status();
  auto table = recoveryTable(chaos);
  for (size_t i = 0; i < table.size(); i++) {
    bool over = i == 0 || chaos.recovery(i - 1).over;
    add(i == 0 ? "    "_kj : over ? "ok  "_kj : "..  "_kj, i == 0 ? DIM : over ? GREEN : YELLOW, table[i]);
  }
  if (status.size() > 0) add("..  ", YELLOW, status);
}

// A chaos phase that is longer than the terminal is high: the first recoveries become one line below the table's head.
void foldRecoveries(kj::Vector<kj::String>& block, size_t surplus, const ViewStyle& style) {
  constexpr size_t HEAD = 1, KEPT = 4;  // kept: the newest recoveries, what is waited for, and the markers
  if (surplus == 0 || block.size() < HEAD + KEPT + 2) return;
  size_t folded = kj::min(surplus + 1, block.size() - HEAD - KEPT);
  kj::Vector<kj::String> out;
  out.add(kj::mv(block[0]));
  auto text = kj::str(folded, " recoveries, all within their budgets");
  out.add(kj::str(kj::repeat(' ', PHASE_COLUMN), painted("ok  ", GREEN, style), ' ', text));
  for (size_t i = HEAD + folded; i < block.size(); i++) out.add(kj::mv(block[i]));
  block = kj::mv(out);
}

kj::Vector<kj::String> phaseLines(const RunState& state, Phase phase, kj::TimePoint now, const ViewStyle& style,
                                  const Layout& layout) {
  kj::Vector<kj::String> lines;
  kj::Vector<size_t> column[2];
  for (size_t i = 0; i < state.profile().rungs.size(); i++) {
    if (state.profile().rungs[i].phase == phase && shown(state, i)) column[state.profile().rungs[i].node].add(i);
  }
  if (phase == Phase::CHAOS && state.latePhases().wanted(phase)) addChaosLines(state, style, lines);
  size_t before = lines.size();
  size_t rows = kj::max(column[0].size(), column[1].size());
  for (size_t row = 0; row < rows; row++) {
    auto cellAt = [&](kj::uint node) {
      if (row >= column[node].size()) return padded("", layout.cellWidth);
      size_t i = column[node][row];
      return cell(state, i, layout.cellWidth, isAwaited(state, i), now, style);
    };
    auto name = padded(row == 0 && before == 0 ? kj::str("  ", phaseName(phase)) : kj::String(), PHASE_COLUMN);
    lines.add(layout.two ? kj::str(name, cellAt(0), "  ", cellAt(1)) : kj::str(name, cellAt(0)));
  }
  if (before > 0)
    lines[0] = kj::str(padded(kj::str("  ", phaseName(phase)), PHASE_COLUMN), lines[0].slice(PHASE_COLUMN));
  return lines;
}

// A phase in one line: done, or to come.
kj::String shrunkPhase(const RunState& state, Phase phase, const ViewStyle& style) {
  kj::uint count = 0;
  for (auto& rung : state.profile().rungs) count += rung.phase == phase && rung.need == Need::REQUIRED;
  auto name = padded(kj::str("  ", phaseName(phase)), PHASE_COLUMN);
  KJ_IF_MAYBE (duration, state.phaseDuration(phase)) {
    return kj::str(name, painted("ok  ", GREEN, style), " all ", count, " markers, ", secondsText(*duration));
  }
  return kj::str(name, painted(kj::str("     ", count, " markers to come"), DIM, style));
}

// A phase that may shrink: it is over without being to blame, or it has not begun.
bool mayShrink(const RunState& state, Phase phase) {
  KJ_IF_MAYBE (failure, state.failure()) {
    if (failure->phase == phase) return false;
  }
  return state.stage() != Stage::RUNNING || phase != state.phase();
}

}  // namespace

kj::Vector<kj::String> ladderLines(const RunState& state, kj::TimePoint now, const ViewStyle& style) {
  Layout layout;
  layout.two = state.profile().nodes == 2;
  kj::uint width = kj::max(style.width, 60u) - PHASE_COLUMN;
  layout.cellWidth = layout.two ? (width - 2) / 2 : width;
  kj::Vector<kj::Vector<kj::String>> blocks;
  kj::Vector<Phase> phases;
  size_t total = layout.two ? 1 : 0;
  for (auto& phase : state.profile().phases) {
    if (phase.phase > state.until()) break;
    phases.add(phase.phase);
    total += blocks.add(phaseLines(state, phase.phase, now, style, layout)).size();
  }
  auto shrink = [&](size_t i) {
    if (total <= style.rows || blocks[i].size() <= 1 || !mayShrink(state, phases[i])) return;
    total -= blocks[i].size() - 1;
    blocks[i].clear();
    blocks[i].add(shrunkPhase(state, phases[i], style));
  };
  for (size_t i = 0; i < blocks.size() && (state.stage() != Stage::RUNNING || phases[i] < state.phase()); i++)
    shrink(i);
  for (size_t i = blocks.size(); i > 0; i--) shrink(i - 1);
  if (state.stage() == Stage::RUNNING && state.phase() == Phase::CHAOS && total > style.rows) {
    for (size_t i = 0; i < blocks.size(); i++) {
      if (phases[i] == Phase::CHAOS) foldRecoveries(blocks[i], total - style.rows, style);
    }
  }
  kj::Vector<kj::String> lines;
  if (layout.two) lines.add(kj::str(padded("", PHASE_COLUMN), padded("node A", layout.cellWidth), "  node B"));
  for (auto& block : blocks) {
    for (auto& line : block) lines.add(kj::mv(line));
  }
  return lines;
}

PlainView::PlainView(const RunState& state) : state(state), told(kj::heapArray<bool>(state.profile().rungs.size())) {
  for (bool& t : told) t = false;
}

// The one that was reached first of those not told yet, so that the lines tell the story as it went.
kj::Maybe<size_t> PlainView::nextUntold() const {
  kj::Maybe<size_t> next;
  kj::Duration earliest = 0 * kj::SECONDS;
  auto& rungs = state.profile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    if (told[i] || !state.inScope(rungs[i])) continue;
    KJ_IF_MAYBE (reached, state.reached(i)) {
      if (next != nullptr && reached->at >= earliest) continue;
      next = i;
      earliest = reached->at;
    }
  }
  return next;
}

void PlainView::tellRungs(kj::Vector<kj::String>& lines) {
  auto& rungs = state.profile().rungs;
  for (auto next = nextUntold(); next != nullptr; next = nextUntold()) {
    auto i = KJ_ASSERT_NONNULL(next);
    told[i] = true;
    auto& reached = KJ_ASSERT_NONNULL(state.reached(i));
    auto text = reached.line.startsWith(rungs[i].marker->text) || reached.byAlternative
                    ? kj::str(reached.line)
                    : kj::str(rungs[i].text(), ": ", reached.line);
    lines.add(kj::str("[+", secondsText(reached.at), "] ", NODE_NAMES[rungs[i].node], ' ',
                      reached.byAlternative ? "warn" : "ok  ", ' ', text));
  }
}

void PlainView::tellPhases(kj::Vector<kj::String>& lines) {
  for (; phasesTold < state.profile().phases.size(); phasesTold++) {
    auto phase = state.profile().phases[phasesTold].phase;
    if (state.failure() != nullptr && phase >= state.phase()) return;
    KJ_IF_MAYBE (duration, state.phaseDuration(phase)) {
      lines.add(kj::str("phase ", phaseName(phase), " done in ", secondsText(*duration)));
    } else {
      return;
    }
  }
}

kj::Vector<kj::String> PlainView::news(kj::TimePoint now) {
  kj::Vector<kj::String> lines;
  if (lastNews == nullptr) lastNews = now;
  auto stamp = [&] { return kj::str("[+", secondsText(state.elapsed(now)), "]   "); };
  tellRungs(lines);
  auto& chaos = state.latePhases().chaos();
  for (; chaosTold < chaos.plan().size() && chaos.recovery(chaosTold).over; chaosTold++)
    lines.add(kj::str(stamp(), recoveryLine(chaos, chaosTold)));
  tellPhases(lines);
  if (lines.size() > 0) {
    lastNews = now;
  } else if (now - KJ_ASSERT_NONNULL(lastNews) >= QUIET) {
    lastNews = now;
    auto doing = chaos.status();
    if (doing.size() > 0) lines.add(kj::str(stamp(), doing));
    KJ_IF_MAYBE (wait, waitingFor(state, now)) lines.add(kj::str(stamp(), "waiting for ", *wait));
  }
  return lines;
}

}  // namespace nexus::vmtest
