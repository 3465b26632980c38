#pragma once
// KJ_LOG as one line per message on standard error: "level=warning daemon=netstackd at=tcp-conn.c++:40 msg=...".
// Installed by main for the whole life of the process. Never sees payloads or keys: what is logged is chosen where it
// is logged.
#include <kj/exception.h>

namespace nexus {

class LineLog final : public kj::ExceptionCallback {
 public:
  explicit LineLog(kj::StringPtr daemon) : daemon(daemon) {}
  void logMessage(kj::LogSeverity severity, const char* file, int line, int contextDepth, kj::String&& text) override;

 private:
  kj::StringPtr daemon;
};

}  // namespace nexus
