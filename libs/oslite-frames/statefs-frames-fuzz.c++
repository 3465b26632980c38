// Any bytes are a request or a fault that has a reply; what decodes is encoded to the same bytes, the limit of a LIST
// excepted. What the gate lets pass is below /state/shared/ and small.
#include <cstdlib>
#include <cstring>

#include "libs/oslite-frames/statefs-gate.h"

using namespace nexus::sf;

namespace {

void expect(bool condition) {
  if (!condition) abort();
}

// The limit is read into its bounds: the only field that may differ.
void expectSame(const Request& request, kj::ArrayPtr<const kj::byte> frame) {
  auto maybe = tryEncodeRequest(request);
  KJ_IF_MAYBE (encoded, maybe) {
    expect(encoded->size() == frame.size());
    if (request.body.is<List>()) {
      size_t limitAt = request.nonce == nullptr ? 6 : 14;
      memcpy(encoded->begin() + limitAt, frame.begin() + limitAt, 2);
    }
    expect(*encoded == frame);
  } else {
    abort();
  }
}

void checkReply(Op op, kj::ArrayPtr<const kj::byte> frame) {
  auto maybe = decodeReply(op, frame);
  KJ_IF_MAYBE (reply, maybe) {
    if (reply->status != Status::OK) {
      expect(reply->value.size() == 0 && reply->keys.size() == 0);
      return;
    }
    if (op == Op::GET)
      expect(encodeGetReply(reply->nonce, reply->value) == frame);
    else if (op == Op::LIST)
      expect(encodeListReply(reply->nonce, reply->keys, frame.size()) == frame);
    else
      expect(encodeStatusReply(op, reply->nonce, Status::OK) == frame);
  }
}

bool isShared(Key key) {
  return kj::heapString(key).startsWith(REMOTE_PREFIX) && key.size() <= MAX_REMOTE_KEY_BYTES;
}

void checkGate(kj::ArrayPtr<const kj::byte> frame) {
  auto judged = checkRemote(true, frame);
  if (judged.is<GateReject>()) {
    expect(encodeReject(frame, judged.get<GateReject>()).size() == 5);
    return;
  }
  KJ_SWITCH_ONEOF(judged.get<Request>().body) {
    KJ_CASE_ONEOF(r, Put) expect(isShared(r.key) && r.value.size() <= MAX_REMOTE_VALUE_BYTES);
    KJ_CASE_ONEOF(r, Get) expect(isShared(r.key));
    KJ_CASE_ONEOF(r, Del) expect(isShared(r.key));
    KJ_CASE_ONEOF(r, List) expect(isShared(r.prefix) && r.limit <= MAX_REMOTE_LIST_LIMIT);
    KJ_CASE_ONEOF(r, Sync) {}
    KJ_CASE_ONEOF(r, Reopen) abort();
  }
  expect(checkRemote(false, frame).is<GateReject>());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frame = kj::arrayPtr(data, size);
  auto request = decodeRequest(frame);
  if (request.is<Request>()) {
    expectSame(request.get<Request>(), frame);
  } else {
    auto& fault = request.get<Fault>();
    expect(encodeFault(fault).size() == (fault.nonce == nullptr ? 5 : 13));
  }
  for (auto op : {Op::PUT, Op::GET, Op::DEL, Op::LIST, Op::SYNC, Op::REOPEN}) checkReply(op, frame);
  checkGate(frame);
  return 0;
}
