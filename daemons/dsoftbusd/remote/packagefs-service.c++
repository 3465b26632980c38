#include "daemons/dsoftbusd/remote/packagefs-service.h"

#include "libs/oslite-frames/packagefs-frames.h"

namespace nexus {

namespace {

constexpr kj::StringPtr OPERATIONS[] = {"stat"_kj, "open"_kj, "read"_kj, "close"_kj};
constexpr uint8_t REPLY_BIT = 0x80;
constexpr size_t OP_OFFSET = 3;

ReplyVerdict verdict(pk::Status status, size_t replyBytes) {
  if (status == pk::Status::OK) return ReplyVerdict::OK;
  // Other servers pad a refusal; ours does not, so whatever follows the status is nothing that should cross.
  return replyBytes == pk::FAULT_REPLY_BYTES ? ReplyVerdict::SAID_NO : ReplyVerdict::NOT_A_REPLY;
}

}  // namespace

kj::ArrayPtr<const kj::StringPtr> packagefsOperations() {
  return OPERATIONS;
}

kj::Maybe<kj::StringPtr> packagefsOperation(kj::ArrayPtr<const kj::byte> frame) {
  auto request = pk::decodeRequest(true, frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, pk::Stat) return OPERATIONS[0];
    KJ_CASE_ONEOF(r, pk::Open) return OPERATIONS[1];
    KJ_CASE_ONEOF(r, pk::Read) return OPERATIONS[2];
    KJ_CASE_ONEOF(r, pk::Close) return OPERATIONS[3];
    KJ_CASE_ONEOF(fault, pk::Fault) {
      // Echoed when there is a header: what was asked for is known although it was asked wrongly.
      kj::byte op = frame.size() > OP_OFFSET ? frame[OP_OFFSET] : 0;
      bool known = op >= kj::byte(pk::Op::STAT) && op <= kj::byte(pk::Op::CLOSE);
      if (known && fault.replyOp == (op | REPLY_BIT)) return OPERATIONS[op - kj::byte(pk::Op::STAT)];
      return nullptr;
    }
  }
  return nullptr;
}

kj::Maybe<kj::Array<kj::byte>> packagefsRefusal(kj::ArrayPtr<const kj::byte> frame) {
  auto request = pk::decodeRequest(true, frame);
  if (request.is<pk::Fault>()) return pk::encodeFault(request.get<pk::Fault>());
  return nullptr;
}

ReplyVerdict judgePackagefsReply(kj::ArrayPtr<const kj::byte> frame, kj::ArrayPtr<const kj::byte> reply) {
  auto request = pk::decodeRequest(true, frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, pk::Stat) {
      KJ_IF_MAYBE (answer, pk::decodeStatReply(reply)) return verdict(answer->status, reply.size());
    }
    KJ_CASE_ONEOF(r, pk::Open) {
      KJ_IF_MAYBE (answer, pk::decodeOpenReply(reply)) {
        if (answer->status == pk::Status::OK && answer->handle == 0) return ReplyVerdict::NOT_A_REPLY;
        return verdict(answer->status, reply.size());
      }
    }
    KJ_CASE_ONEOF(r, pk::Read) {
      KJ_IF_MAYBE (answer, pk::decodeReadReply(reply)) {
        if (answer->data.size() > r.length) return ReplyVerdict::NOT_A_REPLY;
        return verdict(answer->status, reply.size());
      }
    }
    KJ_CASE_ONEOF(r, pk::Close) {
      KJ_IF_MAYBE (status, pk::decodeCloseReply(reply)) return verdict(*status, reply.size());
    }
    KJ_CASE_ONEOF(fault, pk::Fault) return ReplyVerdict::NOT_A_REPLY;
  }
  return ReplyVerdict::NOT_A_REPLY;
}

}  // namespace nexus
