// Whatever the bytes: no crash, and what parses is encoded back to the same bytes.
#include <cstdlib>

#include "daemons/dsoftbusd/session/session-message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto body = kj::arrayPtr(data + 1, size - 1);  // the first byte is the record's type
  KJ_IF_MAYBE (message, nexus::tryParseSessionMessage(data[0], body)) {
    auto encoded = nexus::encodeSessionMessage(*message);
    if (encoded.type != data[0] || encoded.body != body) abort();
  }
  return 0;
}
