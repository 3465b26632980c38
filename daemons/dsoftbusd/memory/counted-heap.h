#pragma once
// For one test program: how many bytes it holds on the C++ heap, by counting operator new and delete. Exact, the same
// in every run and under sanitizers, unlike the resident size. Not counted: what C libraries allocate for themselves,
// and the allocator's own overhead.
#include <cstddef>

namespace nexus {

size_t countedHeapBytes();

}  // namespace nexus
