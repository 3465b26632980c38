#pragma once
// The captures of all nodes as one: frames in the order of the host's clock, numbered as the pcapng file numbers them,
// with the markers of the run as packet comments. Pure.
#include "tools/vmtest/capture.h"
#include "tools/vmtest/run-state.h"

namespace nexus::vmtest {

struct MergedFrame {
  kj::byte node;
  uint64_t stamp;  // nanoseconds since 1970
  const CapturedFrame* frame;
};

// Frame number N of the file is element N - 1. Equal stamps: the sender's copy first.
kj::Array<MergedFrame> mergeCaptures(kj::ArrayPtr<const Capture* const> captures);

// launch: nanoseconds since 1970 at the start of `state`'s clock. A marker becomes the comment of its node's first
// frame behind it.
kj::Array<kj::byte> pcapngOf(kj::ArrayPtr<const Capture* const> captures, const RunState& state, uint64_t launch);

}  // namespace nexus::vmtest
