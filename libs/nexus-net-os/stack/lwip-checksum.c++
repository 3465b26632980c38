#include "libs/nexus-net-os/stack/lwip-checksum.h"

#include <cstring>

namespace {

// Sums of 32-bit words in 64 bits: congruent to the sum of the 16-bit words, because 2^16 is 1 modulo 2^16 - 1, and
// without a carry for up to 2^32 words. The compiler makes vectors of it.
uint64_t sumWords(const uint8_t* data, size_t words) {
  uint64_t sum = 0;
  for (size_t i = 0; i < words; i++) {
    uint32_t word;
    memcpy(&word, data + 4 * i, sizeof(word));
    sum += word;
  }
  return sum;
}

}  // namespace

extern "C" uint16_t nexus_lwip_chksum(const void* data, int length) {
  auto* bytes = static_cast<const uint8_t*>(data);
  size_t size = length, words = size / 4;
  uint64_t sum = sumWords(bytes, words);
  uint8_t rest[4] = {};
  memcpy(rest, bytes + 4 * words, size % 4);
  sum += sumWords(rest, 1);
  while (sum > UINT16_MAX) sum = (sum & UINT16_MAX) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
