#include "tools/vmtest/capture-merge.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "tools/vmtest/testing-frames.h"

namespace nexus::vmtest {
namespace {

constexpr uint32_t IP_A = 0x0a2a000a, IP_B = 0x0a2a000b;

struct Scene {
  kj::TimePoint start = kj::origin<kj::TimePoint>();
  RunState state{os2vmProfile(), Phase::END, RunState::Limits::markersOnly(), start};
  Capture a{macBytes(NODE_MACS[0])}, b{macBytes(NODE_MACS[1])};
  kj::Array<kj::byte> frame = arpFrame(0, IP_A, IP_B);

  void add(Capture& capture, uint64_t stamp) { capture.add(stamp, stamp, frame, uint32_t(frame.size())); }
  kj::Array<const Capture*> both() { return kj::heapArray<const Capture*>({&a, &b}); }
};

TEST_CASE("frames of both nodes come in the order of time, the sender's copy first when stamps are equal") {
  Scene s;
  s.add(s.b, 100);  // received: the frame has A's address
  s.add(s.a, 100);
  s.add(s.b, 50);
  auto merged = mergeCaptures(s.both());
  REQUIRE(merged.size() == 3);
  CHECK(merged[0].stamp == 50);
  CHECK(merged[1].node == 0);
  CHECK(merged[2].node == 1);
}

size_t count(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr text) {
  size_t n = 0;
  for (size_t i = 0; i + text.size() <= bytes.size(); i++) n += bytes.slice(i, i + text.size()) == text.asBytes();
  return n;
}

TEST_CASE("each marker is the comment of its node's first frame behind it, once") {
  Scene s;
  s.state.consoleLine(0, "net: virtio-net up (mtu=1500)", 1, s.start + 10 * kj::NANOSECONDS);
  s.state.consoleLine(0, "dsoftbusd: discovery cross-vm up", 2, s.start + 20 * kj::NANOSECONDS);
  s.state.consoleLine(1, "net: virtio-net up (of B)", 1, s.start + 500 * kj::NANOSECONDS);
  for (uint64_t stamp : {1005, 1030, 1040}) s.add(s.a, stamp);
  s.add(s.b, 1100);
  auto file = pcapngOf(s.both(), s.state, 1000);
  CHECK(count(file, "net: virtio-net up (mtu=1500)\ndsoftbusd: discovery cross-vm up") == 1);
  CHECK(count(file, "net: virtio-net up (mtu=1500)") == 1);
  // Nothing of B came behind its marker.
  CHECK(count(file, "net: virtio-net up (of B)") == 0);
}

}  // namespace
}  // namespace nexus::vmtest
