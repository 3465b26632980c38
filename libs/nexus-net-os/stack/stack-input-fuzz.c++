// libFuzzer entry for the whole stack: bazel run //libs/nexus-net-os/stack:stack-input-fuzz -- -max_len=8000
#include "libs/nexus-net-os/stack/stack-fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nexus::fuzzStack(kj::arrayPtr(data, size));
  return 0;
}
