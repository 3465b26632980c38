#pragma once
// What the harness tells a guest over the status channel (status-channel.h), one command per line:
//
//   poweroff             stop every service and power off
//   kill NAME            SIGKILL to the running process of that service, which is then started again as after any death
//   order soak-begin     to the selftest: traffic counts from here
//   order soak-end       report what the traffic did since soak-begin
//   order arm N          event N is about to happen: its time is zero now
//   order go N           event N has happened: whatever begins from now on and succeeds shows that it is over
//   order end            stop the traffic, report, end
//
// `kill` and `order` are obeyed only in test images, where there is a selftest. Pure: text to value and back.
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

struct TrafficOrder {
  enum class Kind : kj::byte { SOAK_BEGIN, SOAK_END, ARM, GO, END };
  Kind kind;
  uint32_t event = 0;  // of ARM and GO

  kj::String text() const;  // without "order "
  static kj::Maybe<TrafficOrder> parse(kj::ArrayPtr<const char> text);
};

struct PowerOffCommand {};
struct KillCommand {
  kj::String service;
};

using StatusCommand = kj::OneOf<PowerOffCommand, KillCommand, TrafficOrder>;

// No line is longer, without its end.
constexpr size_t STATUS_COMMAND_MAX = 96;

kj::String encodeCommand(const StatusCommand& command);

// Reads one line without its end. Null when it is not exactly one of the forms above.
kj::Maybe<StatusCommand> parseCommand(kj::ArrayPtr<const char> line);

}  // namespace nexus
