#include "libs/nexus-net-os/daemon/log.h"

#include <kj/debug.h>
#include <unistd.h>

#include <cstring>

namespace nexus {

namespace {

const char* levelName(kj::LogSeverity severity) {
  switch (severity) {
    case kj::LogSeverity::INFO:
      return "info";
    case kj::LogSeverity::WARNING:
      return "warning";
    case kj::LogSeverity::ERROR:
      return "error";
    case kj::LogSeverity::FATAL:
      return "fatal";
    case kj::LogSeverity::DBG:
      return "debug";
  }
  return "unknown";
}

// What Cap'n Proto's RPC tells at INFO of each call that failed, with a stack trace. The caller was told already, and
// whoever may call could fill the log with it.
bool isCallFailure(kj::LogSeverity severity, const char* file) {
  return severity == kj::LogSeverity::INFO && kj::StringPtr(file).endsWith("capnp/rpc.c++");
}

}  // namespace

void LineLog::logMessage(kj::LogSeverity severity, const char* file, int line, int, kj::String&& text) {
  if (isCallFailure(severity, file)) return;
  const char* slash = strrchr(file, '/');
  while (text.endsWith("\n")) text = kj::heapString(text.slice(0, text.size() - 1));
  for (char& c : text.asArray()) {
    if (static_cast<unsigned char>(c) < ' ' && c != '\0')
      c = ' ';  // one message, one line; no terminal control from outside
  }
  auto message = kj::str("level=", levelName(severity), " daemon=", daemon, " at=", slash == nullptr ? file : slash + 1,
                         ':', line, " msg=", text, '\n');
  // Standard error that is full or gone must not stop a daemon.
  (void)!write(STDERR_FILENO, message.begin(), message.size());
}

}  // namespace nexus
