#include "libs/nexus-net-os/daemon/status-channel.h"

#include <kj/debug.h>

namespace nexus {

namespace {

using Text = kj::ArrayPtr<const char>;

bool isNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '+' || c == '~' || c == '-';
}

bool isName(Text text) {
  if (text.size() == 0 || text.size() > STATUS_NAME_MAX) return false;
  for (char c : text) {
    if (!isNameChar(c)) return false;
  }
  return true;
}

bool isPrintable(char c) {
  return c >= 0x20 && c < 0x7f;
}

bool equals(Text text, kj::StringPtr word) {
  return text == word.asArray();
}

// Takes the next word and the one space behind it off the front of `rest`.
Text takeWord(Text& rest) {
  size_t end = 0;
  while (end < rest.size() && rest[end] != ' ') end++;
  Text word = rest.slice(0, end);
  rest = rest.slice(kj::min(end + 1, rest.size()), rest.size());
  return word;
}

kj::String checkedName(kj::StringPtr name) {
  KJ_REQUIRE(isName(name.asArray()), "not a name for the status channel", name);
  return kj::heapString(name);
}

// head, then a space and the cleaned detail, as far as the line limit allows. A line never ends with a space.
kj::String withDetail(kj::String head, kj::StringPtr detail) {
  size_t size = kj::min(detail.size(), STATUS_LINE_MAX - head.size() - 1);
  while (size > 0 && detail[size - 1] == ' ') size--;
  if (size == 0) return head;
  auto clean = kj::heapString(detail.begin(), size);
  for (char& c : clean) {
    if (!isPrintable(c)) c = '?';
  }
  return kj::str(head, ' ', clean);
}

kj::Maybe<StatusMessage> parseStep(Text rest) {
  Text name = takeWord(rest);
  Text verdict = takeWord(rest);
  bool ok = equals(verdict, "ok");
  if (!isName(name) || !(ok || equals(verdict, "FAIL"))) return nullptr;
  return StatusMessage(StatusStep{kj::heapString(name), ok, kj::heapString(rest)});
}

kj::Maybe<StatusMessage> parseService(Text rest) {
  Text name = takeWord(rest);
  Text what = takeWord(rest);
  if (!isName(name)) return nullptr;
  if (equals(what, "start") && rest.size() == 0) return StatusMessage(StatusServiceStart{kj::heapString(name)});
  if (equals(what, "exit") && rest.size() > 0)
    return StatusMessage(StatusServiceExit{kj::heapString(name), kj::heapString(rest)});
  return nullptr;
}

// Decimal, without a sign or leading zeros, at most `max`.
kj::Maybe<uint64_t> parseNumber(Text text, uint64_t max) {
  if (text.size() == 0 || text.size() > 19 || (text.size() > 1 && text[0] == '0')) return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + uint64_t(c - '0');
  }
  if (value > max) return nullptr;
  return value;
}

kj::Maybe<StatusMessage> parseTraffic(Text rest) {
  uint64_t numbers[4];
  for (size_t i = 0; i < 4; i++) {
    Text word = i < 3 ? takeWord(rest) : rest;
    KJ_IF_MAYBE (n, parseNumber(word, kj::maxValue)) {
      numbers[i] = *n;
    } else {
      return nullptr;
    }
  }
  return StatusMessage(StatusTraffic{numbers[0], numbers[1], numbers[2], numbers[3]});
}

kj::Maybe<StatusMessage> parseChaos(Text rest) {
  auto event = parseNumber(takeWord(rest), uint32_t(kj::maxValue));
  if (event == nullptr) return nullptr;
  auto number = uint32_t(KJ_ASSERT_NONNULL(event));
  if (equals(rest, "armed")) return StatusMessage(StatusChaos{number, StatusChaos::What::ARMED, 0});
  Text what = takeWord(rest);
  bool call = equals(what, "call");
  if (!call && !equals(what, "stream")) return nullptr;
  KJ_IF_MAYBE (ms, parseNumber(rest, uint32_t(kj::maxValue))) {
    auto kind = call ? StatusChaos::What::CALL : StatusChaos::What::STREAM;
    return StatusMessage(StatusChaos{number, kind, uint32_t(*ms)});
  }
  return nullptr;
}

kj::Maybe<StatusMessage> parseExit(Text rest) {
  if (rest.size() == 0 || rest.size() > 3) return nullptr;
  kj::uint code = 0;
  for (char c : rest) {
    if (c < '0' || c > '9') return nullptr;
    code = code * 10 + kj::uint(c - '0');
  }
  if (code > 255) return nullptr;
  return StatusMessage(StatusExit{kj::byte(code)});
}

}  // namespace

kj::String encodeStatus(const StatusMessage& message) {
  KJ_SWITCH_ONEOF(message) {
    KJ_CASE_ONEOF(m, StatusKernel) return kj::str("kernel ", checkedName(m.release));
    KJ_CASE_ONEOF(m, StatusStep)
    return withDetail(kj::str("step ", checkedName(m.name), m.ok ? " ok" : " FAIL"), m.detail);
    KJ_CASE_ONEOF(m, StatusServiceStart) return kj::str("service ", checkedName(m.name), " start");
    KJ_CASE_ONEOF(m, StatusServiceExit) {
      KJ_REQUIRE(m.status.size() > 0, "an exit without a status", m.name);
      return withDetail(kj::str("service ", checkedName(m.name), " exit"), m.status);
    }
    KJ_CASE_ONEOF(m, StatusExit) return kj::str("exit ", kj::uint(m.code));
    KJ_CASE_ONEOF(m, StatusTraffic)
    return kj::str("traffic ", m.calls, ' ', m.failed, ' ', m.streamed, ' ', m.breaks);
    KJ_CASE_ONEOF(m, StatusChaos) {
      if (m.what == StatusChaos::What::ARMED) return kj::str("chaos ", m.event, " armed");
      return kj::str("chaos ", m.event, m.what == StatusChaos::What::CALL ? " call " : " stream ", m.ms);
    }
  }
  KJ_UNREACHABLE;
}

kj::Maybe<StatusMessage> parseStatus(kj::ArrayPtr<const char> line) {
  if (line.size() > 0 && line.back() == '\r') line = line.slice(0, line.size() - 1);
  if (line.size() == 0 || line.size() > STATUS_LINE_MAX || line.back() == ' ') return nullptr;
  for (char c : line) {
    if (!isPrintable(c)) return nullptr;
  }
  Text rest = line;
  Text verb = takeWord(rest);
  if (equals(verb, "kernel")) {
    if (!isName(rest)) return nullptr;
    return StatusMessage(StatusKernel{kj::heapString(rest)});
  }
  if (equals(verb, "step")) return parseStep(rest);
  if (equals(verb, "service")) return parseService(rest);
  if (equals(verb, "exit")) return parseExit(rest);
  if (equals(verb, "traffic")) return parseTraffic(rest);
  if (equals(verb, "chaos")) return parseChaos(rest);
  return nullptr;
}

kj::Maybe<kj::String> stepName(kj::StringPtr markerText) {
  constexpr kj::StringPtr prefix = "SELFTEST: "_kj, suffix = " ok"_kj;
  if (!markerText.startsWith(prefix) || !markerText.endsWith(suffix)) return nullptr;
  if (markerText.size() <= prefix.size() + suffix.size()) return nullptr;
  auto name = kj::heapString(markerText.begin() + prefix.size(), markerText.size() - prefix.size() - suffix.size());
  for (char& c : name) {
    if (c == ' ') c = '-';
  }
  return kj::mv(name);
}

}  // namespace nexus
