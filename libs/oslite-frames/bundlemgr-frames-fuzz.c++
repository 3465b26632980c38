// Any bytes are a request or a fault that has an 8-byte reply; what decodes is encoded to the same bytes, reserved
// bytes excepted.
#include <cstdlib>

#include "libs/oslite-frames/bundlemgr-frames.h"

using namespace nexus::bn;

namespace {

void expect(bool condition) {
  if (!condition) abort();
}

void checkRequest(kj::ArrayPtr<const kj::byte> frame) {
  auto request = decodeRequest(frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, List) expect(encodeList() == frame);
    KJ_CASE_ONEOF(r, FetchImage) expect(encodeFetchImage() == frame);
    KJ_CASE_ONEOF(r, Route) {
      auto encoded = tryEncodeRoute(r.name);
      KJ_IF_MAYBE (e, encoded)
        expect(*e == frame);
      else
        abort();
    }
    KJ_CASE_ONEOF(r, Query) {
      auto encoded = tryEncodeQuery(r.name);
      KJ_IF_MAYBE (e, encoded)
        expect(*e == frame);
      else
        abort();
    }
    KJ_CASE_ONEOF(fault, Fault) {
      auto reply = encodeFault(fault);
      expect(reply.size() == REPLY_BYTES && decodeFault(reply) != nullptr);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frame = kj::arrayPtr(data, size);
  checkRequest(frame);
  auto list = decodeListReply(frame);
  KJ_IF_MAYBE (l, list) {
    if (l->status == Status::OK) expect(encodeListReply(l->count).slice(0, 7) == frame.slice(0, 7));
  }
  auto route = decodeRouteReply(frame);
  KJ_IF_MAYBE (r, route) {
    if (r->status == Status::OK) expect(encodeRouteReply(r->route).slice(0, 6) == frame.slice(0, 6));
  }
  auto image = decodeImageReply(frame);
  KJ_IF_MAYBE (i, image) {
    if (i->status == Status::OK) expect(encodeImageReply(i->image) == frame);
  }
  auto query = decodeQueryReply(frame);
  KJ_IF_MAYBE (q, query) {
    if (q->status == Status::OK) expect(encodeQueryReply(q->installed, q->version) == frame);
  }
  decodeFault(frame);
  return 0;
}
