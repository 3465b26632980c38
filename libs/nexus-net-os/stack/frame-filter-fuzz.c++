// libFuzzer entry for the frame filter: bazel run //libs/nexus-net-os/stack:frame-filter-fuzz -- -max_len=1600
#include "libs/nexus-net-os/stack/frame-samples.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frame = kj::heapArray<kj::byte>(data, size);
  nexus::FrameFilter::check(frame, frame.size(), nexus::sampleView());
  nexus::FrameFilter::tcpHeaderLength(frame);
  return 0;
}
