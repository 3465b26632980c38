// Whatever the bytes: no crash, and what parses within the bounds is encoded back to the same bytes.
#include <cstdlib>

#include "daemons/dsoftbusd/mux/mux-frame.h"

namespace {

// The parser lets these pass so that the core can name the fault; the encoder does not write them.
bool withinBounds(const nexus::MuxFrame& frame) {
  KJ_SWITCH_ONEOF(frame) {
    KJ_CASE_ONEOF(open, nexus::MuxOpen) {
      return open.name.size() > 0 && open.name.size() <= nexus::MUX_MAX_NAME;
    }
    KJ_CASE_ONEOF(data, nexus::MuxData) {
      return data.payload.size() <= nexus::MUX_MAX_DATA;
    }
    KJ_CASE_ONEOF_DEFAULT {
      return true;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto body = kj::arrayPtr(data + 1, size - 1);  // the first byte is the record's type
  KJ_IF_MAYBE (frame, nexus::tryParseMuxFrame(data[0], body)) {
    if (data[0] < nexus::MUX_FIRST_RECORD_TYPE || data[0] > nexus::MUX_LAST_RECORD_TYPE) abort();
    if (nexus::streamOf(*frame) == 0) abort();
    if (!withinBounds(*frame)) return 0;
    auto encoded = nexus::encodeMuxFrame(*frame);
    if (encoded.type != data[0] || encoded.body != body) abort();
  }
  return 0;
}
