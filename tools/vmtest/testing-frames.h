#pragma once
// Frames for the tests of this folder: whole headers, zero payload, no checksums. `node` 0 or 1 chooses the MAC
// addresses.
#include <kj/array.h>

#include "tools/vmtest/capture.h"
#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

class FrameBytes {
 public:
  FrameBytes& u8(kj::uint v) { return out.add(kj::byte(v)), *this; }
  FrameBytes& u16(kj::uint v) { return u8(v >> 8).u8(v & 255); }
  FrameBytes& u32(uint32_t v) { return u16(v >> 16).u16(v & 0xffff); }
  FrameBytes& zeros(size_t n) {
    while (n-- > 0) out.add(0);
    return *this;
  }
  FrameBytes& ethernet(kj::byte node, kj::uint type) {
    out.addAll(macBytes(NODE_MACS[1 - node]));
    out.addAll(macBytes(NODE_MACS[node]));
    return u16(type);
  }
  FrameBytes& ipv4(uint32_t source, uint32_t destination, kj::uint protocol, size_t body) {
    return u16(0x4500).u16(kj::uint(20 + body)).u32(0).u8(64).u8(protocol).u16(0).u32(source).u32(destination);
  }
  kj::Array<kj::byte> done() { return out.releaseAsArray(); }

 private:
  kj::Vector<kj::byte> out;
};

inline kj::Array<kj::byte> tcpFrame(kj::byte node, uint32_t source, kj::uint sourcePort, uint32_t destination,
                                    kj::uint destinationPort, kj::uint flags, size_t payload = 0) {
  return FrameBytes()
      .ethernet(node, 0x0800)
      .ipv4(source, destination, 6, 20 + payload)
      .u16(sourcePort)
      .u16(destinationPort)
      .u32(1)
      .u32(2)
      .u8(0x50)
      .u8(flags)
      .u16(8192)
      .u32(0)
      .zeros(payload)
      .done();
}

inline kj::Array<kj::byte> udpFrame(kj::byte node, uint32_t source, kj::uint sourcePort, uint32_t destination,
                                    kj::uint destinationPort, size_t payload) {
  return FrameBytes()
      .ethernet(node, 0x0800)
      .ipv4(source, destination, 17, 8 + payload)
      .u16(sourcePort)
      .u16(destinationPort)
      .u16(kj::uint(8 + payload))
      .u16(0)
      .zeros(payload)
      .done();
}

inline kj::Array<kj::byte> arpFrame(kj::byte node, uint32_t source, uint32_t target) {
  return FrameBytes()
      .ethernet(node, 0x0806)
      .u16(1)
      .u16(0x0800)
      .u8(6)
      .u8(4)
      .u16(1)
      .zeros(6)
      .u32(source)
      .zeros(6)
      .u32(target)
      .done();
}

}  // namespace nexus::vmtest
