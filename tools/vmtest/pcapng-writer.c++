#include "tools/vmtest/pcapng-writer.h"

#include <cstring>

namespace nexus::vmtest {

namespace {
constexpr uint32_t SECTION_HEADER = 0x0a0d0d0a, INTERFACE = 1, ENHANCED_PACKET = 6, BYTE_ORDER = 0x1a2b3c4d;
constexpr uint16_t OPT_COMMENT = 1, SHB_USERAPPL = 4, IF_NAME = 2, IF_DESCRIPTION = 3, IF_TSRESOL = 9;
constexpr uint16_t LINKTYPE_ETHERNET = 1;
constexpr kj::byte NANOSECONDS[] = {9};  // 10^-9 s
}  // namespace

PcapngWriter::PcapngWriter(kj::StringPtr application) {
  size_t start = beginBlock(SECTION_HEADER);
  u32(BYTE_ORDER);
  u16(1);  // version 1.0
  u16(0);
  u32(0xffffffff);  // length of the section: not told
  u32(0xffffffff);
  option(SHB_USERAPPL, application.asBytes());
  endOptions();
  endBlock(start);
}

void PcapngWriter::addInterface(kj::StringPtr name, kj::StringPtr description) {
  size_t start = beginBlock(INTERFACE);
  u16(LINKTYPE_ETHERNET);
  u16(0);
  u32(0);  // no snapshot length
  option(IF_NAME, name.asBytes());
  option(IF_DESCRIPTION, description.asBytes());
  option(IF_TSRESOL, NANOSECONDS);
  endOptions();
  endBlock(start);
}

void PcapngWriter::addPacket(uint32_t interface, uint64_t stamp, kj::ArrayPtr<const kj::byte> frame, uint32_t original,
                             kj::StringPtr comment) {
  size_t start = beginBlock(ENHANCED_PACKET);
  u32(interface);
  u32(uint32_t(stamp >> 32));
  u32(uint32_t(stamp));
  u32(uint32_t(frame.size()));
  u32(original);
  padded(frame);
  if (comment.size() > 0) {
    option(OPT_COMMENT, comment.asBytes());
    endOptions();
  }
  endBlock(start);
}

size_t PcapngWriter::beginBlock(uint32_t type) {
  size_t start = out.size();
  u32(type);
  u32(0);  // total length, filled in by endBlock()
  return start;
}

void PcapngWriter::endBlock(size_t start) {
  uint32_t length = uint32_t(out.size() - start) + 4;
  memcpy(out.begin() + start + 4, &length, 4);
  u32(length);
}

void PcapngWriter::u16(uint16_t value) {
  out.addAll(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&value), 2));
}

void PcapngWriter::u32(uint32_t value) {
  out.addAll(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&value), 4));
}

void PcapngWriter::padded(kj::ArrayPtr<const kj::byte> bytes) {
  out.addAll(bytes);
  while (out.size() % 4 != 0) out.add(0);
}

void PcapngWriter::option(uint16_t code, kj::ArrayPtr<const kj::byte> value) {
  size_t size = kj::min(value.size(), size_t(0xffff));
  u16(code);
  u16(uint16_t(size));
  padded(value.slice(0, size));
}

void PcapngWriter::endOptions() {
  u32(0);
}

}  // namespace nexus::vmtest
