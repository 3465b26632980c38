#pragma once
// What the daemons of a fleet log while this lives: errors are violations, the rest is for who reads along. On the
// stack of a test, or in something that is (KJ asks for that).
#include <kj/exception.h>

#include "tests/sim/fleet-trace.h"

namespace nexus {

class FleetLog final : public kj::ExceptionCallback {
 public:
  explicit FleetLog(FleetTrace& trace) : trace(trace) {}

  void logMessage(kj::LogSeverity severity, const char* file, int line, int contextDepth, kj::String&& text) override {
    if (severity >= kj::LogSeverity::ERROR) {
      trace.violation(kj::str("logged at ", file, ":", line, ": ", text));
    } else {
      trace.tell("log ", kj::StringPtr(text).slice(0, text.findLast('\n').orDefault(text.size())));
    }
  }

 private:
  FleetTrace& trace;
};

}  // namespace nexus
