// A rule text from a configuration file: whatever is accepted keeps its promises.
#include <cstdint>
#include <cstdlib>

#include "daemons/netstackd/net-policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = kj::heapString(reinterpret_cast<const char*>(data), size);
  auto parsed = nexus::NetPolicy::Rule::tryParse(text);
  KJ_IF_MAYBE (rule, parsed) {
    if (rule->firstPort > rule->lastPort) abort();
    if (rule->prefixLength > rule->address.bytes().size() * 8) abort();
    // The address it names is one that it matches.
    if (!rule->matches({rule->address, rule->lastPort})) abort();
  }
  return 0;
}
