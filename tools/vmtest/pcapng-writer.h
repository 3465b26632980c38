#pragma once
// Frames of several nodes as one pcapng file (draft-ietf-opsawg-pcapng): one interface per node, nanosecond stamps,
// packet comments. Pure: makes bytes; the run writes them.
#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include <cstdint>

namespace nexus::vmtest {

class PcapngWriter {
 public:
  // application: what wrote the file, for the section header.
  explicit PcapngWriter(kj::StringPtr application);

  // Before the first packet. The interfaces count from 0.
  void addInterface(kj::StringPtr name, kj::StringPtr description);
  // stamp: nanoseconds since 1970. comment may be empty.
  void addPacket(uint32_t interface, uint64_t stamp, kj::ArrayPtr<const kj::byte> frame, uint32_t original,
                 kj::StringPtr comment);

  kj::ArrayPtr<const kj::byte> bytes() const { return out; }

 private:
  size_t beginBlock(uint32_t type);
  void endBlock(size_t start);
  void u16(uint16_t value);
  void u32(uint32_t value);
  void padded(kj::ArrayPtr<const kj::byte> bytes);
  void option(uint16_t code, kj::ArrayPtr<const kj::byte> value);
  void endOptions();

  kj::Vector<kj::byte> out;
};

}  // namespace nexus::vmtest
