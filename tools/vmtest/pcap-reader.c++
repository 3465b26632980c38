#include "tools/vmtest/pcap-reader.h"

#include <cstring>

namespace nexus::vmtest {

namespace {
constexpr size_t FILE_HEADER = 24, RECORD_HEADER = 16;
constexpr uint32_t MAGIC_MICROS = 0xa1b2c3d4, MAGIC_NANOS = 0xa1b23c4d;
constexpr uint32_t LINKTYPE_ETHERNET = 1;
}  // namespace

uint32_t PcapReader::u32(size_t offset) const {
  uint32_t value;
  memcpy(&value, pending.begin() + offset, 4);
  return swapped ? __builtin_bswap32(value) : value;
}

bool PcapReader::refuse(kj::StringPtr why) {
  failed = kj::str(why);
  pending.clear();
  return false;
}

bool PcapReader::readHeader() {
  uint32_t magic = u32(0);
  swapped = magic == __builtin_bswap32(MAGIC_MICROS) || magic == __builtin_bswap32(MAGIC_NANOS);
  magic = u32(0);
  if (magic != MAGIC_MICROS && magic != MAGIC_NANOS) return refuse("not a pcap stream");
  nanoseconds = magic == MAGIC_NANOS;
  if ((u32(20) & 0x0fffffff) != LINKTYPE_ETHERNET) return refuse("the link type is not Ethernet");
  headerSeen = true;
  return true;
}

bool PcapReader::feed(kj::ArrayPtr<const kj::byte> bytes, OnFrame onFrame) {
  if (failed != nullptr) return false;
  pending.addAll(bytes);
  size_t done = 0;
  if (!headerSeen) {
    if (pending.size() < FILE_HEADER) return true;
    if (!readHeader()) return false;
    done = FILE_HEADER;
  }
  while (pending.size() - done >= RECORD_HEADER) {
    uint32_t captured = u32(done + 8), original = u32(done + 12);
    if (captured > FRAME_MAX || captured > original) return refuse("a record with an impossible length");
    if (pending.size() - done < RECORD_HEADER + captured) break;
    uint64_t stamp = uint64_t(u32(done)) * 1000000000ull + uint64_t(u32(done + 4)) * (nanoseconds ? 1 : 1000);
    onFrame(stamp, kj::arrayPtr(pending.begin() + done + RECORD_HEADER, captured), original);
    done += RECORD_HEADER + captured;
  }
  if (done > 0) {
    memmove(pending.begin(), pending.begin() + done, pending.size() - done);
    pending.truncate(pending.size() - done);
  }
  return true;
}

kj::Maybe<kj::StringPtr> PcapReader::error() const {
  KJ_IF_MAYBE (f, failed) return kj::StringPtr(*f);
  return nullptr;
}

}  // namespace nexus::vmtest
