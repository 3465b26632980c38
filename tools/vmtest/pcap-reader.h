#pragma once
// A classic pcap stream, as QEMU's filter-dump writes it, into frames, byte by byte as it arrives. Both byte orders,
// micro- and nanosecond stamps, link type Ethernet only. Pure. The stream comes from QEMU, which copies what a guest
// sent: lengths are checked before use.
#include <kj/array.h>
#include <kj/function.h>
#include <kj/string.h>
#include <kj/vector.h>

#include <cstdint>

namespace nexus::vmtest {

class PcapReader {
 public:
  // Longer records end the stream as malformed: QEMU cuts frames at 64 KiB.
  static constexpr uint32_t FRAME_MAX = 262144;

  // stamp: nanoseconds on the writer's clock. frame: what was captured; original: the frame's length on the wire.
  using OnFrame = kj::FunctionParam<void(uint64_t stamp, kj::ArrayPtr<const kj::byte> frame, uint32_t original)>;

  // False when the stream is malformed: nothing more is read, error() says why.
  bool feed(kj::ArrayPtr<const kj::byte> bytes, OnFrame onFrame);

  kj::Maybe<kj::StringPtr> error() const;

 private:
  bool readHeader();
  bool refuse(kj::StringPtr why);
  uint32_t u32(size_t offset) const;

  kj::Vector<kj::byte> pending;  // at most a record header and FRAME_MAX bytes, plus what one feed() brought
  bool headerSeen = false, swapped = false, nanoseconds = false;
  kj::Maybe<kj::String> failed;
};

}  // namespace nexus::vmtest
