#include "libs/nexus-net-os/stack/lwip-checksum.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

namespace nexus {
namespace {

// RFC 1071, 4.1, word by word.
uint16_t reference(const uint8_t* data, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i += 2) {
    uint8_t pair[2] = {data[i], i + 1 < size ? data[i + 1] : uint8_t(0)};
    uint16_t word;
    memcpy(&word, pair, 2);
    sum += word;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

TEST_CASE("the checksum is RFC 1071's for every length and every alignment") {
  std::mt19937 random(1071);
  std::vector<uint8_t> data(2100);
  for (auto& byte : data) byte = random();
  for (size_t offset = 0; offset < 16; offset++) {
    for (int size = 0; size < 2000; size++) {
      REQUIRE(nexus_lwip_chksum(data.data() + offset, size) == reference(data.data() + offset, size));
    }
  }
}

TEST_CASE("the checksum of the largest packet of ones does not overflow, and only zeros give zero") {
  std::vector<uint8_t> ones(65535, 0xff), zeros(65535, 0);
  CHECK(nexus_lwip_chksum(ones.data(), ones.size()) == reference(ones.data(), ones.size()));
  CHECK(nexus_lwip_chksum(zeros.data(), zeros.size()) == 0);
  for (size_t at : {0u, 1u, 2u, 3u, 1459u, 65534u}) {
    zeros[at] = 1;
    CHECK(nexus_lwip_chksum(zeros.data(), zeros.size()) == reference(zeros.data(), zeros.size()));
    CHECK(nexus_lwip_chksum(zeros.data(), zeros.size()) != 0);
    zeros[at] = 0;
  }
}

TEST_CASE("the checksum of RFC 1071's example, in the byte order of the network") {
  const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  uint16_t sum = nexus_lwip_chksum(bytes, sizeof(bytes));
  uint8_t out[2];
  memcpy(out, &sum, 2);
  CHECK(out[0] == 0xdd);
  CHECK(out[1] == 0xf2);
}

}  // namespace
}  // namespace nexus
