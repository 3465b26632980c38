#include "libs/oslite-frames/samgr-frames.h"

#include <kj/debug.h>

#include "libs/oslite-frames/frame-bytes.h"

namespace nexus::sm {

using namespace nexus::oslite;

namespace {

constexpr Magic MAGIC{'S', 'M'};
constexpr size_t MIN_GENERAL_BYTES = 5;
constexpr uint8_t HEADER_FAULT_OP = 0x82;
constexpr std::array<uint8_t, 4> PONG{'P', 'O', 'N', 'G'};

uint8_t replyOp(Op op) {
  return static_cast<uint8_t>(op) | REPLY_BIT;
}

wire::Header requestHeader(Op op) {
  return header(MAGIC, static_cast<uint8_t>(op));
}

// The rest of the frame, as the name that the length byte announced: exactly that long, 1 to `max` bytes.
kj::Maybe<Name> tryName(FrameReader& reader, size_t length, size_t max) {
  if (length == 0 || length > max || length != reader.remaining()) return nullptr;
  return reader.tryTake(length).map([](kj::ArrayPtr<const kj::byte> bytes) { return bytes.asChars(); });
}

// Nothing, or exactly a nonce.
struct NonceTail {
  Nonce nonce;
};
kj::Maybe<NonceTail> tryNonce(FrameReader& reader) {
  if (reader.remaining() == 0) return NonceTail{};
  wire::Nonce nonce;
  if (!reader.tryRead(nonce) || reader.remaining() > 0) return nullptr;
  return NonceTail{fromLe(nonce.value())};
}

void appendNonce(kj::Vector<kj::byte>& out, Nonce nonce) {
  KJ_IF_MAYBE (n, nonce) append(out, wire::Nonce(span(le<8>(*n))));
}

kj::Maybe<Request> decodeRegister(FrameReader reader) {
  wire::SmRegister fixed;
  if (!reader.tryRead(fixed)) return nullptr;
  return tryName(reader, fixed.name_length(), MAX_NAME_BYTES).map([&](Name name) {
    return Request(Register{name, uint32_t(fromLe(fixed.send_slot())), uint32_t(fromLe(fixed.recv_slot()))});
  });
}

template <typename Named>
kj::Maybe<Request> decodeNamed(FrameReader reader, size_t max) {
  wire::SmNamed fixed;
  if (!reader.tryRead(fixed)) return nullptr;
  return tryName(reader, fixed.name_length(), max).map([](Name name) { return Request(Named{name}); });
}

// Any length will do; only that of header and nonce carries a nonce.
Request decodePing(FrameReader reader) {
  wire::Header ignored;
  KJ_ASSERT(reader.tryRead(ignored));
  auto tail = tryNonce(reader);
  KJ_IF_MAYBE (t, tail) return PingCapMove{t->nonce};
  return PingCapMove{};
}

template <typename Fixed, typename Asked>
kj::Maybe<Request> decodeWithNonce(FrameReader reader) {
  Fixed fixed;
  if (!reader.tryRead(fixed)) return nullptr;
  return tryNonce(reader).map([](NonceTail tail) { return Request(Asked{tail.nonce}); });
}

kj::Maybe<Request> decodeKnown(Op op, kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  switch (op) {
    case Op::REGISTER:
      return decodeRegister(reader);
    case Op::LOOKUP:
      return decodeNamed<Lookup>(reader, MAX_NAME_BYTES);
    case Op::PING_CAP_MOVE:
      return decodePing(reader);
    case Op::SENDER_PID:
      return decodeWithNonce<wire::SmSenderPid, SenderPid>(reader);
    case Op::SENDER_SERVICE_ID:
      return decodeWithNonce<wire::Header, SenderServiceId>(reader);
    case Op::RESOLVE_STATUS:
      return decodeNamed<ResolveStatus>(reader, MAX_RESOLVE_NAME_BYTES);
  }
  return nullptr;
}

bool isKnown(uint8_t op) {
  return static_cast<uint8_t>(Op::REGISTER) <= op && op <= static_cast<uint8_t>(Op::RESOLVE_STATUS);
}

// Complete with nothing but the header.
bool isBare(uint8_t op) {
  return op == static_cast<uint8_t>(Op::PING_CAP_MOVE) || op == static_cast<uint8_t>(Op::SENDER_SERVICE_ID);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeNamed(Op op, Name name, size_t max) {
  if (name.size() == 0 || name.size() > max) return nullptr;
  kj::Vector<kj::byte> out(sizeof(wire::SmNamed) + name.size());
  append(out, wire::SmNamed(requestHeader(op), name.size()));
  out.addAll(name.asBytes());
  return out.releaseAsArray();
}

bool isOkReply(const wire::Header& header, uint8_t status, Op op) {
  return isReplyTo(header, MAGIC, static_cast<uint8_t>(op)) && status == static_cast<uint8_t>(Status::OK);
}

kj::Array<kj::byte> encodeGeneral(uint8_t op, Status status, uint32_t sendSlot, uint32_t recvSlot) {
  kj::Vector<kj::byte> out(REPLY_BYTES);
  append(out,
         wire::SmReply(header(MAGIC, op), static_cast<uint8_t>(status), span(le<4>(sendSlot)), span(le<4>(recvSlot))));
  return out.releaseAsArray();
}

}  // namespace

Request decodeRequest(kj::ArrayPtr<const kj::byte> frame) {
  wire::Header header;
  FrameReader reader(frame);
  bool whole = reader.tryRead(header) && hasMagic(header, MAGIC);
  bool bare = whole && header.version() == VERSION && isBare(header.op());
  if (!whole || (frame.size() < MIN_GENERAL_BYTES && !bare)) return Fault{HEADER_FAULT_OP, Status::MALFORMED};
  uint8_t echoed = header.op() | REPLY_BIT;
  if (header.version() != VERSION || !isKnown(header.op())) return Fault{echoed, Status::UNSUPPORTED};
  auto request = decodeKnown(static_cast<Op>(header.op()), frame);
  KJ_IF_MAYBE (r, request) return kj::mv(*r);
  return Fault{echoed, Status::MALFORMED};
}

kj::Array<kj::byte> encodeReply(Op op, Status status, uint32_t sendSlot, uint32_t recvSlot) {
  return encodeGeneral(replyOp(op), status, sendSlot, recvSlot);
}

kj::Array<kj::byte> encodeFault(const Fault& fault) {
  return encodeGeneral(fault.replyOp, fault.status, 0, 0);
}

kj::Array<kj::byte> encodePong(Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::SmPong) + sizeof(wire::Nonce));
  append(out, wire::SmPong(span(PONG)));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeSenderPidReply(uint32_t pid, Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::SmSenderPidReply) + sizeof(wire::Nonce));
  append(out, wire::SmSenderPidReply(header(MAGIC, replyOp(Op::SENDER_PID)), static_cast<uint8_t>(Status::OK),
                                     span(le<4>(pid))));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeSenderServiceIdReply(uint64_t id, Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::SmSenderIdReply) + sizeof(wire::Nonce));
  append(out, wire::SmSenderIdReply(header(MAGIC, replyOp(Op::SENDER_SERVICE_ID)), static_cast<uint8_t>(Status::OK),
                                    span(le<8>(id))));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeRegister(Name name, uint32_t sendSlot, uint32_t recvSlot) {
  if (name.size() == 0 || name.size() > MAX_NAME_BYTES) return nullptr;
  kj::Vector<kj::byte> out(sizeof(wire::SmRegister) + name.size());
  append(out, wire::SmRegister(requestHeader(Op::REGISTER), name.size(), span(le<4>(sendSlot)), span(le<4>(recvSlot))));
  out.addAll(name.asBytes());
  return out.releaseAsArray();
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeLookup(Name name) {
  return tryEncodeNamed(Op::LOOKUP, name, MAX_NAME_BYTES);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeResolveStatus(Name name) {
  return tryEncodeNamed(Op::RESOLVE_STATUS, name, MAX_RESOLVE_NAME_BYTES);
}

kj::Array<kj::byte> encodePingCapMove(Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::Header) + sizeof(wire::Nonce));
  append(out, requestHeader(Op::PING_CAP_MOVE));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeSenderPid(Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::SmSenderPid) + sizeof(wire::Nonce));
  append(out, wire::SmSenderPid(requestHeader(Op::SENDER_PID)));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeSenderServiceId(Nonce nonce) {
  kj::Vector<kj::byte> out(sizeof(wire::Header) + sizeof(wire::Nonce));
  append(out, requestHeader(Op::SENDER_SERVICE_ID));
  appendNonce(out, nonce);
  return out.releaseAsArray();
}

kj::Maybe<AnyReply> decodeAnyReply(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::SmReply reply;
  if (!reader.tryRead(reply) || reader.remaining() > 0) return nullptr;
  auto& head = reply.header();
  if (!hasMagic(head, MAGIC) || head.version() != VERSION || (head.op() & REPLY_BIT) == 0) return nullptr;
  if (reply.status() > static_cast<uint8_t>(Status::UNSUPPORTED)) return nullptr;
  return AnyReply{
      head.op(),
      {static_cast<Status>(reply.status()), uint32_t(fromLe(reply.send_slot())), uint32_t(fromLe(reply.recv_slot()))}};
}

kj::Maybe<Reply> decodeReply(kj::ArrayPtr<const kj::byte> frame, Op op) {
  auto any = decodeAnyReply(frame);
  KJ_IF_MAYBE (a, any) {
    if (a->op == replyOp(op)) return a->reply;
  }
  return nullptr;
}

kj::Maybe<PongReply> decodePong(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::SmPong pong;
  if (!reader.tryRead(pong) || memcmp(pong.text()->data(), PONG.data(), PONG.size()) != 0) return nullptr;
  return tryNonce(reader).map([](NonceTail tail) { return PongReply{tail.nonce}; });
}

kj::Maybe<SenderPidReply> decodeSenderPidReply(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::SmSenderPidReply reply;
  if (!reader.tryRead(reply) || !isOkReply(reply.header(), reply.status(), Op::SENDER_PID)) return nullptr;
  return tryNonce(reader).map(
      [&](NonceTail tail) { return SenderPidReply{uint32_t(fromLe(reply.pid())), tail.nonce}; });
}

kj::Maybe<SenderServiceIdReply> decodeSenderServiceIdReply(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::SmSenderIdReply reply;
  if (!reader.tryRead(reply) || !isOkReply(reply.header(), reply.status(), Op::SENDER_SERVICE_ID)) return nullptr;
  return tryNonce(reader).map([&](NonceTail tail) { return SenderServiceIdReply{fromLe(reply.id()), tail.nonce}; });
}

}  // namespace nexus::sm
