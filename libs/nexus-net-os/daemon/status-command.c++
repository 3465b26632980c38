#include "libs/nexus-net-os/daemon/status-command.h"

#include <kj/debug.h>

namespace nexus {

namespace {

using Text = kj::ArrayPtr<const char>;

constexpr kj::StringPtr POWEROFF = "poweroff"_kj, KILL = "kill "_kj, ORDER = "order "_kj, ARM = "arm "_kj,
                        GO = "go "_kj;

bool startsWith(Text text, kj::StringPtr prefix) {
  return text.size() >= prefix.size() && text.slice(0, prefix.size()) == prefix.asArray();
}

Text behind(Text text, kj::StringPtr prefix) {
  return text.slice(prefix.size(), text.size());
}

// Decimal, without a sign or leading zeros.
kj::Maybe<uint32_t> parseEvent(Text text) {
  if (text.size() == 0 || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + uint64_t(c - '0');
  }
  if (value > uint32_t(kj::maxValue)) return nullptr;
  return uint32_t(value);
}

// As services are called: a small alphabet, so that no text can make a second line or leave a folder.
bool isServiceName(Text text) {
  if (text.size() == 0 || text.size() > 32) return false;
  for (char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
  }
  return true;
}

}  // namespace

kj::String TrafficOrder::text() const {
  switch (kind) {
    case Kind::SOAK_BEGIN:
      return kj::str("soak-begin");
    case Kind::SOAK_END:
      return kj::str("soak-end");
    case Kind::ARM:
      return kj::str(ARM, event);
    case Kind::GO:
      return kj::str(GO, event);
    case Kind::END:
      return kj::str("end");
  }
  KJ_UNREACHABLE;
}

kj::Maybe<TrafficOrder> TrafficOrder::parse(Text text) {
  for (auto kind : {Kind::SOAK_BEGIN, Kind::SOAK_END, Kind::END}) {
    TrafficOrder order{kind};
    if (text == order.text().asArray()) return order;
  }
  bool arm = startsWith(text, ARM);
  if (!arm && !startsWith(text, GO)) return nullptr;
  KJ_IF_MAYBE (event, parseEvent(behind(text, arm ? ARM : GO))) return TrafficOrder{arm ? Kind::ARM : Kind::GO, *event};
  return nullptr;
}

kj::String encodeCommand(const StatusCommand& command) {
  KJ_SWITCH_ONEOF(command) {
    KJ_CASE_ONEOF(c, PowerOffCommand) return kj::str(POWEROFF);
    KJ_CASE_ONEOF(c, KillCommand) {
      KJ_REQUIRE(isServiceName(c.service.asArray()), "not the name of a service", c.service);
      return kj::str(KILL, c.service);
    }
    KJ_CASE_ONEOF(c, TrafficOrder) return kj::str(ORDER, c.text());
  }
  KJ_UNREACHABLE;
}

kj::Maybe<StatusCommand> parseCommand(Text line) {
  if (line == POWEROFF.asArray()) return StatusCommand(PowerOffCommand());
  if (startsWith(line, KILL)) {
    auto name = behind(line, KILL);
    if (!isServiceName(name)) return nullptr;
    return StatusCommand(KillCommand{kj::heapString(name)});
  }
  if (startsWith(line, ORDER)) {
    KJ_IF_MAYBE (order, TrafficOrder::parse(behind(line, ORDER))) return StatusCommand(*order);
  }
  return nullptr;
}

}  // namespace nexus
