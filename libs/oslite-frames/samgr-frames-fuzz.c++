// Any bytes are a request or a fault that has a 13-byte reply; a request that decodes is encoded to the same bytes,
// PING and padding excepted.
#include <cstdlib>

#include "libs/oslite-frames/samgr-frames.h"

using namespace nexus::sm;

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
  auto request = decodeRequest(frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, Register) expectSame(tryEncodeRegister(r.name, r.sendSlot, r.recvSlot), frame);
    KJ_CASE_ONEOF(r, Lookup) expectSame(tryEncodeLookup(r.name), frame);
    KJ_CASE_ONEOF(r, ResolveStatus) expectSame(tryEncodeResolveStatus(r.name), frame);
    KJ_CASE_ONEOF(r, PingCapMove) expect((r.nonce != nullptr) == (frame.size() == 12));
    KJ_CASE_ONEOF(r, SenderPid) expect(encodeSenderPid(r.nonce).size() == frame.size());
    KJ_CASE_ONEOF(r, SenderServiceId) expectSame(encodeSenderServiceId(r.nonce), frame);
    KJ_CASE_ONEOF(fault, Fault) {
      auto reply = encodeFault(fault);
      expect(reply.size() == REPLY_BYTES && decodeAnyReply(reply) != nullptr);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frame = kj::arrayPtr(data, size);
  checkRequest(frame);
  auto reply = decodeReply(frame, Op::LOOKUP);
  KJ_IF_MAYBE (r, reply) expect(encodeReply(Op::LOOKUP, r->status, r->sendSlot, r->recvSlot) == frame);
  auto pong = decodePong(frame);
  KJ_IF_MAYBE (p, pong) expect(encodePong(p->nonce) == frame);
  auto pid = decodeSenderPidReply(frame);
  KJ_IF_MAYBE (p, pid) expect(encodeSenderPidReply(p->pid, p->nonce) == frame);
  auto id = decodeSenderServiceIdReply(frame);
  KJ_IF_MAYBE (i, id) expect(encodeSenderServiceIdReply(i->id, i->nonce) == frame);
  return 0;
}
