// Whatever decodes is within the bounds and comes back the same after encoding; whatever does not, does not crash.
#include <cstdlib>

#include "daemons/dsoftbusd/discovery/announce-packet.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto decoded = nexus::decodeAnnounce(kj::arrayPtr(data, size));
  if (!decoded.is<nexus::Announce>()) return 0;
  auto encoded = nexus::encodeAnnounce(decoded.get<nexus::Announce>());
  if (!encoded.is<kj::Array<kj::byte>>()) abort();
  auto& bytes = encoded.get<kj::Array<kj::byte>>();
  if (bytes.size() > size || bytes.asPtr() != kj::arrayPtr(data, bytes.size())) abort();
  return 0;
}
