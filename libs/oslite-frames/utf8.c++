#include "libs/oslite-frames/utf8.h"

#include <cstdint>

namespace nexus::oslite {

bool isUtf8(kj::ArrayPtr<const char> text) {
  auto bytes = text.asBytes();
  for (size_t i = 0; i < bytes.size();) {
    uint8_t first = bytes[i++];
    if (first < 0x80) continue;
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || bytes.size() - i < more) return false;
    uint32_t point = first & (0x3f >> more);
    for (size_t end = i + more; i < end; i++) {
      if ((bytes[i] & 0xc0) != 0x80) return false;
      point = point << 6 | (bytes[i] & 0x3f);
    }
    constexpr uint32_t LEAST[] = {0, 0x80, 0x800, 0x10000};
    if (point < LEAST[more] || point > 0x10ffff || (0xd800 <= point && point < 0xe000)) return false;
  }
  return true;
}

}  // namespace nexus::oslite
