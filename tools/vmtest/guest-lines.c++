#include "tools/vmtest/guest-lines.h"

namespace nexus::vmtest {

namespace {

bool contains(kj::StringPtr text, kj::StringPtr word) {
  for (size_t i = 0; i + word.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(word)) return true;
  }
  return false;
}

}  // namespace

bool isPanicLine(kj::StringPtr line) {
  return contains(line, "Kernel panic - not syncing") || contains(line, "BUG: unable to handle") ||
         contains(line, "Oops: ");
}

bool isNoticeLine(kj::StringPtr line) {
  return line.startsWith("level=warning ") || line.startsWith("level=error ") || line.startsWith("level=fatal ");
}

kj::StringPtr exitMeaning(kj::StringPtr status) {
  if (status == "signal 31") return " (a system call outside its sandbox's list)"_kj;
  if (status == "signal 11") return " (an access outside its memory)"_kj;
  if (status == "signal 6") return " (it gave up)"_kj;
  return ""_kj;
}

}  // namespace nexus::vmtest
