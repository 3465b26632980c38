#pragma once
// Frames with the verdict that the filter must give them: the list for its test, and the seeds of its fuzzer.
#include <kj/vector.h>

#include "libs/nexus-net-os/stack/frame-filter.h"
#include "libs/nexus-net-os/stack/wire-frame.h"

namespace nexus {

struct FrameSample {
  kj::StringPtr name;
  FilterVerdict verdict;
  Bytes frame;
};

// The node that the samples are meant for: 10.42.0.10/24, fe80::5054:ff:fe12:340a, MAC 52:54:00:12:34:0a.
FilterView sampleView();

kj::Vector<FrameSample> frameSamples();

}  // namespace nexus
