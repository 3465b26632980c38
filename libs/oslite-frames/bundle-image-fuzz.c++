// An image that decodes is encoded to the same bytes.
#include <cstdlib>

#include "libs/oslite-frames/bundle-image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto image = kj::arrayPtr(data, size);
  auto entries = nexus::nxbi::decodeImage(image);
  KJ_IF_MAYBE (e, entries) {
    auto encoded = nexus::nxbi::tryEncodeImage(*e);
    KJ_IF_MAYBE (bytes, encoded) {
      if (*bytes != image) abort();
    } else {
      abort();
    }
  }
  return 0;
}
