#include "tools/vmtest/chaos-view.h"

namespace nexus::vmtest {

namespace {

constexpr size_t WHAT_COLUMNS = 22, TIME_COLUMNS = 9;

kj::String padded(kj::StringPtr text, size_t width, bool right) {
  auto fill = kj::str(kj::repeat(' ', width - kj::min(text.size(), width)));
  return right ? kj::str(fill, text) : kj::str(text, fill);
}

kj::String seconds(uint64_t ms) {
  return kj::str(ms / 1000, '.', kj::str(1000 + ms % 1000).slice(1, 3), " s");
}

kj::String time(kj::Maybe<uint32_t> ms) {
  KJ_IF_MAYBE (value, ms) return padded(seconds(*value), TIME_COLUMNS, true);
  return padded("-", TIME_COLUMNS, true);
}

kj::String row(kj::StringPtr what, kj::ArrayPtr<const kj::String> columns) {
  return kj::str(padded(what, WHAT_COLUMNS, false), kj::strArray(columns, ""));
}

}  // namespace

kj::String recoveryLine(const ChaosRun& chaos, size_t event) {
  auto& recovery = chaos.recovery(event);
  kj::Maybe<uint32_t> back;
  KJ_IF_MAYBE (b, recovery.back) back = uint32_t(*b / kj::MILLISECONDS);
  kj::String columns[] = {time(back), time(recovery.callMs), time(recovery.streamMs),
                          time(uint32_t(chaos.budget(event) / kj::MILLISECONDS))};
  return kj::str(row(chaos.plan()[event].text(), columns), chaos.isLate(event) ? " *" : "");
}

kj::Vector<kj::String> recoveryTable(const ChaosRun& chaos) {
  kj::Vector<kj::String> lines;
  bool late = false;
  for (size_t i = 0; i < chaos.plan().size(); i++) {
    if (!chaos.recovery(i).begun) break;
    if (i == 0) {
      kj::String heads[] = {padded("back", TIME_COLUMNS, true), padded("calls", TIME_COLUMNS, true),
                            padded("streams", TIME_COLUMNS, true), padded("budget", TIME_COLUMNS, true)};
      lines.add(row("recovery after", heads));
    }
    lines.add(recoveryLine(chaos, i));
    late = late || chaos.isLate(i);
  }
  if (late) lines.add(kj::str("* the host kept the guests waiting meanwhile; that is added to the budget"));
  return lines;
}

}  // namespace nexus::vmtest
