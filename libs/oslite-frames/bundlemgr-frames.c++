#include "libs/oslite-frames/bundlemgr-frames.h"

#include <kj/debug.h>

#include "libs/oslite-frames/frame-bytes.h"

namespace nexus::bn {

using namespace nexus::oslite;

namespace {

constexpr Magic MAGIC{'B', 'N'};
constexpr uint8_t HEADER_FAULT_OP = 0x81;

uint8_t replyOp(Op op) {
  return static_cast<uint8_t>(op) | REPLY_BIT;
}

template <typename T>
kj::Array<kj::byte> bytesOf(const T& fixedPart) {
  kj::Vector<kj::byte> out(sizeof(T));
  append(out, fixedPart);
  return out.releaseAsArray();
}

bool isStatus(uint8_t value) {
  return value <= static_cast<uint8_t>(Status::UNSUPPORTED);
}

template <typename Named>
kj::Maybe<Request> decodeNamed(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::BnNamed fixed;
  if (!reader.tryRead(fixed)) return nullptr;
  size_t length = fixed.name_length();
  if (length == 0 || length > MAX_NAME_BYTES || length != reader.remaining()) return nullptr;
  return reader.tryTake(length).map([](kj::ArrayPtr<const kj::byte> name) { return Request(Named{name.asChars()}); });
}

template <typename Bare>
kj::Maybe<Request> decodeBare(kj::ArrayPtr<const kj::byte> frame) {
  if (frame.size() != sizeof(wire::Header)) return nullptr;
  return Request(Bare{});
}

kj::Maybe<Request> decodeKnown(Op op, kj::ArrayPtr<const kj::byte> frame) {
  switch (op) {
    case Op::LIST:
      return decodeBare<List>(frame);
    case Op::ROUTE_STATUS:
      return decodeNamed<Route>(frame);
    case Op::FETCH_IMAGE:
      return decodeBare<FetchImage>(frame);
    case Op::QUERY:
      return decodeNamed<Query>(frame);
  }
  return nullptr;
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeNamed(Op op, Name name) {
  if (name.size() == 0 || name.size() > MAX_NAME_BYTES) return nullptr;
  kj::Vector<kj::byte> out(sizeof(wire::BnNamed) + name.size());
  append(out, wire::BnNamed(header(MAGIC, static_cast<uint8_t>(op)), name.size()));
  out.addAll(name.asBytes());
  return out.releaseAsArray();
}

bool isKnown(uint8_t op) {
  return (static_cast<uint8_t>(Op::LIST) <= op && op <= static_cast<uint8_t>(Op::FETCH_IMAGE)) ||
         op == static_cast<uint8_t>(Op::QUERY);
}

// An 8-byte reply to `op`, whole, with a known status.
template <typename Fixed>
bool tryReadReply(kj::ArrayPtr<const kj::byte> frame, Op op, Fixed& out) {
  static_assert(sizeof(Fixed) == REPLY_BYTES);
  FrameReader reader(frame);
  return reader.tryRead(out) && reader.remaining() == 0 && isReplyTo(out.header(), MAGIC, static_cast<uint8_t>(op)) &&
         isStatus(out.status());
}

}  // namespace

Request decodeRequest(kj::ArrayPtr<const kj::byte> frame) {
  wire::Header header;
  FrameReader reader(frame);
  if (!reader.tryRead(header) || !hasMagic(header, MAGIC)) return Fault{HEADER_FAULT_OP, Status::MALFORMED};
  uint8_t echoed = header.op() | REPLY_BIT;
  if (header.version() != VERSION || !isKnown(header.op())) return Fault{echoed, Status::UNSUPPORTED};
  auto request = decodeKnown(static_cast<Op>(header.op()), frame);
  KJ_IF_MAYBE (r, request) return kj::mv(*r);
  return Fault{echoed, Status::MALFORMED};
}

kj::Array<kj::byte> encodeFault(const Fault& fault) {
  return bytesOf(wire::BnFault(header(MAGIC, fault.replyOp), static_cast<uint8_t>(fault.status)));
}

kj::Array<kj::byte> encodeFault(Op op, Status status) {
  return encodeFault(Fault{replyOp(op), status});
}

kj::Array<kj::byte> encodeListReply(uint16_t count) {
  return bytesOf(
      wire::BnListReply(header(MAGIC, replyOp(Op::LIST)), static_cast<uint8_t>(Status::OK), span(le<2>(count)), 0));
}

kj::Array<kj::byte> encodeRouteReply(RouteStatus route) {
  return bytesOf(wire::BnRouteReply(header(MAGIC, replyOp(Op::ROUTE_STATUS)), static_cast<uint8_t>(Status::OK),
                                    static_cast<uint8_t>(route)));
}

kj::Array<kj::byte> encodeImageReply(kj::ArrayPtr<const kj::byte> image) {
  KJ_REQUIRE(image.size() <= UINT32_MAX, "the length field has 32 bits", image.size());
  kj::Vector<kj::byte> out(sizeof(wire::BnImageReply) + image.size());
  append(out, wire::BnImageReply(header(MAGIC, replyOp(Op::FETCH_IMAGE)), static_cast<uint8_t>(Status::OK),
                                 span(le<4>(image.size()))));
  out.addAll(image);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeQueryReply(uint8_t installed, Name version) {
  KJ_REQUIRE(version.size() <= UINT8_MAX, "the length field has 8 bits", version.size());
  kj::Vector<kj::byte> out(sizeof(wire::BnQueryReply) + version.size());
  append(out, wire::BnQueryReply(header(MAGIC, replyOp(Op::QUERY)), static_cast<uint8_t>(Status::OK), installed,
                                 version.size()));
  out.addAll(version.asBytes());
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeList() {
  return bytesOf(header(MAGIC, static_cast<uint8_t>(Op::LIST)));
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeRoute(Name name) {
  return tryEncodeNamed(Op::ROUTE_STATUS, name);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeQuery(Name name) {
  return tryEncodeNamed(Op::QUERY, name);
}

kj::Array<kj::byte> encodeFetchImage() {
  return bytesOf(header(MAGIC, static_cast<uint8_t>(Op::FETCH_IMAGE)));
}

kj::Maybe<ListReply> decodeListReply(kj::ArrayPtr<const kj::byte> frame) {
  wire::BnListReply reply;
  if (!tryReadReply(frame, Op::LIST, reply)) return nullptr;
  return ListReply{static_cast<Status>(reply.status()), uint16_t(fromLe(reply.count()))};
}

kj::Maybe<RouteReply> decodeRouteReply(kj::ArrayPtr<const kj::byte> frame) {
  wire::BnRouteReply reply;
  if (!tryReadReply(frame, Op::ROUTE_STATUS, reply)) return nullptr;
  if (reply.route_status() > static_cast<uint8_t>(RouteStatus::DENIED)) return nullptr;
  return RouteReply{static_cast<Status>(reply.status()), static_cast<RouteStatus>(reply.route_status())};
}

kj::Maybe<ImageReply> decodeImageReply(kj::ArrayPtr<const kj::byte> frame) {
  wire::BnFault fault;
  if (tryReadReply(frame, Op::FETCH_IMAGE, fault)) {
    if (fault.status() == static_cast<uint8_t>(Status::OK)) return nullptr;  // OK comes with a length
    return ImageReply{static_cast<Status>(fault.status()), nullptr};
  }
  FrameReader reader(frame);
  wire::BnImageReply reply;
  if (!reader.tryRead(reply) || !isReplyTo(reply.header(), MAGIC, static_cast<uint8_t>(Op::FETCH_IMAGE)))
    return nullptr;
  if (reply.status() != static_cast<uint8_t>(Status::OK) || fromLe(reply.length()) != reader.remaining())
    return nullptr;
  return reader.tryTake(reader.remaining()).map([](kj::ArrayPtr<const kj::byte> image) {
    return ImageReply{Status::OK, image};
  });
}

kj::Maybe<QueryReply> decodeQueryReply(kj::ArrayPtr<const kj::byte> frame) {
  wire::BnFault fault;
  bool isFault = tryReadReply(frame, Op::QUERY, fault) && fault.status() != static_cast<uint8_t>(Status::OK);
  if (isFault) return QueryReply{static_cast<Status>(fault.status()), 0, nullptr};
  FrameReader reader(frame);
  wire::BnQueryReply reply;
  if (!reader.tryRead(reply) || !isReplyTo(reply.header(), MAGIC, static_cast<uint8_t>(Op::QUERY))) return nullptr;
  if (reply.status() != static_cast<uint8_t>(Status::OK) || reply.version_length() != reader.remaining())
    return nullptr;
  if (reply.installed() == 0 && reply.version_length() > 0) return nullptr;
  return reader.tryTake(reader.remaining()).map([&](kj::ArrayPtr<const kj::byte> version) {
    return QueryReply{Status::OK, reply.installed(), version.asChars()};
  });
}

kj::Maybe<Fault> decodeFault(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::BnFault fault;
  if (!reader.tryRead(fault) || reader.remaining() > 0) return nullptr;
  auto& head = fault.header();
  if (!hasMagic(head, MAGIC) || head.version() != VERSION || (head.op() & REPLY_BIT) == 0) return nullptr;
  if (!isStatus(fault.status()) || fault.status() == static_cast<uint8_t>(Status::OK)) return nullptr;
  return Fault{head.op(), static_cast<Status>(fault.status())};
}

}  // namespace nexus::bn
