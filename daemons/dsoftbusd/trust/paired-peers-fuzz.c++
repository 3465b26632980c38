// Whatever parses is written again as it was; whatever does not, does not crash.
#include <cstdlib>

#include "daemons/dsoftbusd/trust/paired-peers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = kj::heapString(reinterpret_cast<const char*>(data), size);
  auto parsed = nexus::parsePairedPeers(text);
  if (!parsed.is<kj::Array<nexus::TrustedPeer>>()) return 0;
  if (nexus::encodePairedPeers(parsed.get<kj::Array<nexus::TrustedPeer>>()) != text) abort();
  return 0;
}
