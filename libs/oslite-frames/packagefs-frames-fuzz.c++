// Any bytes are a request or a fault that has a 5-byte reply; what decodes is encoded to the same bytes.
#include <cstdlib>

#include "libs/oslite-frames/packagefs-frames.h"

using namespace nexus::pk;

namespace {

void expect(bool condition) {
  if (!condition) abort();
}

void expectSame(kj::Maybe<kj::Array<kj::byte>> encoded, kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (e, encoded)
    expect(*e == frame);
  else
    abort();
}

void checkRequest(kj::ArrayPtr<const kj::byte> frame) {
  auto request = decodeRequest(true, frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, Stat) {
      expectSame(tryEncodeStat(r.path.whole), frame);
      expect(r.path.relative.end() == r.path.whole.end() && r.path.relative.size() > 0);
    }
    KJ_CASE_ONEOF(r, Open) expectSame(tryEncodeOpen(r.path.whole), frame);
    KJ_CASE_ONEOF(r, Read) expectSame(tryEncodeRead(r.handle, r.offset, r.length), frame);
    KJ_CASE_ONEOF(r, Close) expect(encodeClose(r.handle) == frame);
    KJ_CASE_ONEOF(fault, Fault) expect(encodeFault(fault).size() == FAULT_REPLY_BYTES && fault.status != Status::OK);
  }
  auto stranger = decodeRequest(false, frame);
  expect(stranger.is<Fault>() && stranger.get<Fault>().status == Status::UNAUTHENTICATED);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frame = kj::arrayPtr(data, size);
  checkRequest(frame);
  KJ_IF_MAYBE (r, decodeStatReply(frame)) {
    if (r->status == Status::OK) expect(encodeStatReply(r->size, r->kind) == frame);
  }
  KJ_IF_MAYBE (r, decodeOpenReply(frame)) {
    if (r->status == Status::OK) expect(encodeOpenReply(r->handle) == frame);
  }
  KJ_IF_MAYBE (r, decodeReadReply(frame)) {
    if (r->status == Status::OK) expect(encodeReadReply(r->data) == frame);
  }
  KJ_IF_MAYBE (status, decodeCloseReply(frame)) {
    if (*status == Status::OK) expect(encodeStatus(Op::CLOSE, *status) == frame);
  }
  return 0;
}
