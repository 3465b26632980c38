#include "tools/nexusctl/report.h"

namespace nexus::ctl {

namespace {

kj::String twoDigits(uint64_t number) {
  return number < 10 ? kj::str('0', number) : kj::str(number);
}

}  // namespace

kj::StringPtr exitName(Exit exit) {
  switch (exit) {
    case Exit::OK:
      return "ok"_kj;
    case Exit::OTHER:
      return "failed"_kj;
    case Exit::USAGE:
      return "usage"_kj;
    case Exit::DENIED:
      return "denied"_kj;
    case Exit::NOT_FOUND:
      return "not-found"_kj;
    case Exit::NOT_RUNNING:
      return "not-running"_kj;
    case Exit::TIMED_OUT:
      return "timed-out"_kj;
    case Exit::UNSUPPORTED:
      return "unsupported"_kj;
    case Exit::BAD_CONFIG:
      return "bad-config"_kj;
  }
  return "failed"_kj;
}

Json errorJson(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy) {
  Json error;
  error.set("kind", exitName(exit)).set("exit", int(exit)).set("message", clean(sentence));
  if (remedy.size() > 0) error.set("remedy", clean(remedy));
  return error;
}

Report failure(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy) {
  auto json = document("nexus.error/1");
  json.set("error", errorJson(exit, sentence, remedy));
  auto text =
      remedy.size() > 0 ? kj::str(clean(sentence), "\n  ", clean(remedy), '\n') : kj::str(clean(sentence), '\n');
  return {exit, kj::mv(text), kj::mv(json), true};
}

Json document(kj::StringPtr schema) {
  Json json;
  json.set("schema", schema);
  return json;
}

Printed print(const Report& report, bool asJson) {
  if (asJson) return {report.json.text(), kj::String()};
  if (!report.failed) return {kj::str(report.text), kj::String()};
  return {kj::String(), kj::str(report.text)};
}

kj::String Table::text() const {
  kj::Vector<size_t> widths;
  for (auto& row : rows) {
    for (auto i : kj::indices(row)) {
      if (i == widths.size()) widths.add(0);
      widths[i] = kj::max(widths[i], row[i].size());
    }
  }
  kj::Vector<char> out;
  for (auto& row : rows) {
    size_t line = out.size();
    for (auto i : kj::indices(row)) {
      out.addAll(clean(row[i]));
      for (size_t n = row[i].size(); n < widths[i] + 2; n++) out.add(' ');
    }
    while (out.size() > line && out.back() == ' ') out.removeLast();
    out.add('\n');
  }
  return kj::heapString(out.begin(), out.size());
}

kj::String clean(kj::StringPtr text) {
  auto copy = kj::heapString(text);
  for (char& c : copy) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return copy;
}

kj::String durationText(uint64_t ms) {
  uint64_t seconds = ms / 1000;
  if (seconds < 60) return kj::str(seconds, '.', ms % 1000 / 100, 's');
  if (seconds < 3600) return kj::str(seconds / 60, 'm', twoDigits(seconds % 60), 's');
  return kj::str(seconds / 3600, 'h', twoDigits(seconds / 60 % 60), 'm');
}

}  // namespace nexus::ctl
