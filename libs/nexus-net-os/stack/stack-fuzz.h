#pragma once
// Feeds bytes of a stranger to a whole stack: one input is a sequence of frames, each with a 2-byte big-endian length
// before it, with time passing between them. Used by the fuzzer and by a test that runs the same over the seed corpus
// and its mutations.
#include <kj/array.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/stack/wire-frame.h"

namespace nexus {

// Runs one input. Whatever it does, the stack must neither crash nor keep a frame, and must still answer a ping
// afterwards.
void fuzzStack(kj::ArrayPtr<const kj::byte> input);

// Inputs to begin with: all samples, one by one and in sequences that open connections.
kj::Vector<Bytes> stackSeeds();

}  // namespace nexus
