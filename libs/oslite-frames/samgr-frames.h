#pragma once
// SM v1: the frames that samgrd answers. One decoder and one encoder per frame; pure bytes.
//
//   op  request                                                     reply
//   1   REGISTER           n u8, send u32, recv u32, name n >= 1    13 bytes
//   2   LOOKUP             n u8, name n >= 1                        13 bytes, with the slots when OK
//   3   PING_CAP_MOVE      nothing, or a nonce u64                  "PONG", then the nonce
//   4   SENDER_PID         4 filler bytes, maybe a nonce            9 bytes: status 0, pid u32; then the nonce
//   5   SENDER_SERVICE_ID  nothing, or a nonce u64                  13 bytes: status 0, id u64; then the nonce
//   6   RESOLVE_STATUS     n u8 (1..48), name                       13 bytes, slots 0
//
// A request is exactly as long as its fields say; only PING_CAP_MOVE may be of any length. Names are byte strings, not
// text. The views in decoded frames point into the frame. Statuses are numbered differently from BN's: the two are
// never mixed.
#include <kj/array.h>
#include <kj/one-of.h>

#include <cstdint>

namespace nexus::sm {

constexpr size_t MAX_FRAME_BYTES = 512;
constexpr size_t MAX_NAME_BYTES = 255;         // REGISTER, LOOKUP
constexpr size_t MAX_RESOLVE_NAME_BYTES = 48;  // RESOLVE_STATUS
constexpr size_t REPLY_BYTES = 13;

enum class Op : uint8_t {
  REGISTER = 1,
  LOOKUP = 2,
  PING_CAP_MOVE = 3,
  SENDER_PID = 4,
  SENDER_SERVICE_ID = 5,
  RESOLVE_STATUS = 6,
};

enum class Status : uint8_t { OK = 0, NOT_FOUND = 1, MALFORMED = 2, UNSUPPORTED = 3 };

using Name = kj::ArrayPtr<const char>;
using Nonce = kj::Maybe<uint64_t>;

struct Register {
  Name name;
  uint32_t sendSlot, recvSlot;
};
struct Lookup {
  Name name;
};
struct PingCapMove {
  Nonce nonce;
};
struct SenderPid {
  Nonce nonce;
};
struct SenderServiceId {
  Nonce nonce;
};
struct ResolveStatus {
  Name name;
};

// A request that is answered with a bare status: the op byte of the reply, bit 7 included, and the status.
struct Fault {
  uint8_t replyOp;
  Status status;
};

// Requests, the serving side
// -----------------------------------------------------------------------------------------------------

// Faults in the order in which they are tested: shorter than 5 bytes or wrong magic (op byte 0x82, MALFORMED); other
// version (op echoed, UNSUPPORTED); wrong layout of a known op (op echoed, MALFORMED); unknown op (op echoed,
// UNSUPPORTED). Ops 3 and 5 are whole with 4 bytes.
using Request = kj::OneOf<Register, Lookup, PingCapMove, SenderPid, SenderServiceId, ResolveStatus, Fault>;
Request decodeRequest(kj::ArrayPtr<const kj::byte> frame);

kj::Array<kj::byte> encodeReply(Op op, Status status, uint32_t sendSlot = 0, uint32_t recvSlot = 0);
kj::Array<kj::byte> encodeFault(const Fault& fault);
kj::Array<kj::byte> encodePong(Nonce nonce);
kj::Array<kj::byte> encodeSenderPidReply(uint32_t pid, Nonce nonce);
kj::Array<kj::byte> encodeSenderServiceIdReply(uint64_t id, Nonce nonce);

// Requests, the asking side
// ------------------------------------------------------------------------------------------------------

// Null when the name is empty or too long for the op.
kj::Maybe<kj::Array<kj::byte>> tryEncodeRegister(Name name, uint32_t sendSlot, uint32_t recvSlot);
kj::Maybe<kj::Array<kj::byte>> tryEncodeLookup(Name name);
kj::Maybe<kj::Array<kj::byte>> tryEncodeResolveStatus(Name name);
kj::Array<kj::byte> encodePingCapMove(Nonce nonce);
kj::Array<kj::byte> encodeSenderPid(Nonce nonce);
kj::Array<kj::byte> encodeSenderServiceId(Nonce nonce);

// Null on any fault: other magic, version, op, length or an unknown status.
struct Reply {
  Status status;
  uint32_t sendSlot, recvSlot;
};
kj::Maybe<Reply> decodeReply(kj::ArrayPtr<const kj::byte> frame, Op op);

// The reply to a request whose header or op the server did not know: whatever op it names.
struct AnyReply {
  uint8_t op;  // of the reply, bit 7 included
  Reply reply;
};
kj::Maybe<AnyReply> decodeAnyReply(kj::ArrayPtr<const kj::byte> frame);

struct PongReply {
  Nonce nonce;
};
kj::Maybe<PongReply> decodePong(kj::ArrayPtr<const kj::byte> frame);

struct SenderPidReply {
  uint32_t pid;
  Nonce nonce;
};
kj::Maybe<SenderPidReply> decodeSenderPidReply(kj::ArrayPtr<const kj::byte> frame);

struct SenderServiceIdReply {
  uint64_t id;
  Nonce nonce;
};
kj::Maybe<SenderServiceIdReply> decodeSenderServiceIdReply(kj::ArrayPtr<const kj::byte> frame);

}  // namespace nexus::sm
