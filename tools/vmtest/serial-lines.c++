#include "tools/vmtest/serial-lines.h"

namespace nexus::vmtest {

void SerialLines::feed(kj::ArrayPtr<const kj::byte> bytes, OnLine onLine) {
  for (kj::byte b : bytes) {
    if (b == '\n') {
      finish(onLine);
    } else if (current.size() < KEPT_MAX) {
      current.add(char(b));
    } else {
      truncated = true;
    }
  }
}

void SerialLines::end(OnLine onLine) {
  if (current.size() > 0) finish(onLine);
}

void SerialLines::finish(OnLine& onLine) {
  size_t size = current.size();
  while (size > 0 && current[size - 1] == '\r') size--;
  auto line = kj::heapString(current.begin(), size);
  for (char& c : line) {
    if (c != '\t' && (c < 0x20 || c >= 0x7f)) c = '?';
  }
  lines++;
  if (truncated) overlongLines++;
  current.clear();
  truncated = false;
  onLine(line, lines);
}

}  // namespace nexus::vmtest
