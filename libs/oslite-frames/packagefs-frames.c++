#include "libs/oslite-frames/packagefs-frames.h"

#include <kj/debug.h>

#include "libs/oslite-frames/frame-bytes.h"
#include "libs/oslite-frames/utf8.h"

namespace nexus::pk {

using namespace nexus::oslite;

namespace {

constexpr Magic MAGIC{'P', 'K'};
constexpr uint8_t HEADER_FAULT_OP = 0x80;
constexpr kj::StringPtr PREFIXES[] = {"pkg:/"_kj, "/packages/"_kj};

uint8_t replyOp(Op op) {
  return static_cast<uint8_t>(op) | REPLY_BIT;
}

template <typename T>
kj::Array<kj::byte> bytesOf(const T& fixedPart, kj::ArrayPtr<const kj::byte> tail = nullptr) {
  kj::Vector<kj::byte> out(sizeof(T) + tail.size());
  append(out, fixedPart);
  out.addAll(tail);
  return out.releaseAsArray();
}

bool startsWith(kj::ArrayPtr<const char> text, kj::StringPtr prefix) {
  return text.size() >= prefix.size() && text.slice(0, prefix.size()) == prefix.asArray();
}

bool isSegment(kj::ArrayPtr<const char> segment) {
  if (segment.size() == 0 || segment == "."_kj.asArray() || segment == ".."_kj.asArray()) return false;
  for (char c : segment) {
    if (c == '\\' || c == '\0') return false;
  }
  return true;
}

bool hasOnlySegments(kj::ArrayPtr<const char> relative) {
  size_t start = 0;
  for (size_t i = 0; i <= relative.size(); i++) {
    if (i < relative.size() && relative[i] != '/') continue;
    if (!isSegment(relative.slice(start, i))) return false;
    start = i + 1;
  }
  return true;
}

kj::OneOf<Path, Status> decodePath(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::PkPath fixed;
  if (!reader.tryRead(fixed)) return Status::BAD_REQUEST;
  size_t length = fromLe(fixed.path_length());
  if (length == 0 || length > MAX_PATH_BYTES) return Status::OVERSIZED;
  if (length != reader.remaining()) return Status::BAD_REQUEST;
  return checkPath(KJ_ASSERT_NONNULL(reader.tryTake(length)).asChars());
}

template <typename Request_>
kj::OneOf<Request, Status> withPath(kj::ArrayPtr<const kj::byte> frame) {
  auto path = decodePath(frame);
  if (path.is<Status>()) return path.get<Status>();
  return Request(Request_{path.get<Path>()});
}

kj::OneOf<Request, Status> decodeRead(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::PkRead fixed;
  if (!reader.tryRead(fixed) || reader.remaining() > 0) return Status::BAD_REQUEST;
  auto length = uint16_t(fromLe(fixed.length()));
  if (length == 0 || length > MAX_READ_BYTES) return Status::OVERSIZED;
  return Request(Read{uint32_t(fromLe(fixed.handle())), uint32_t(fromLe(fixed.offset())), length});
}

kj::OneOf<Request, Status> decodeClose(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::PkClose fixed;
  if (!reader.tryRead(fixed) || reader.remaining() > 0) return Status::BAD_REQUEST;
  return Request(Close{uint32_t(fromLe(fixed.handle()))});
}

kj::OneOf<Request, Status> decodeBody(uint8_t op, kj::ArrayPtr<const kj::byte> frame) {
  switch (static_cast<Op>(op)) {
    case Op::STAT:
      return withPath<Stat>(frame);
    case Op::OPEN:
      return withPath<Open>(frame);
    case Op::READ:
      return decodeRead(frame);
    case Op::CLOSE:
      return decodeClose(frame);
  }
  return Status::BAD_REQUEST;
}

kj::Maybe<kj::Array<kj::byte>> tryEncodePath(Op op, kj::ArrayPtr<const char> path) {
  if (path.size() == 0 || path.size() > MAX_PATH_BYTES) return nullptr;
  return bytesOf(wire::PkPath(header(MAGIC, static_cast<uint8_t>(op)), span(le<2>(path.size()))), path.asBytes());
}

// The status of a reply to `op`; null when it is none.
kj::Maybe<Status> statusOf(kj::ArrayPtr<const kj::byte> frame, Op op) {
  FrameReader reader(frame);
  wire::PkStatus fixed;
  if (!reader.tryRead(fixed) || !isReplyTo(fixed.header(), MAGIC, static_cast<uint8_t>(op))) return nullptr;
  if (fixed.status() > static_cast<uint8_t>(Status::IO)) return nullptr;
  return static_cast<Status>(fixed.status());
}

}  // namespace

kj::OneOf<Path, Status> checkPath(kj::ArrayPtr<const char> path) {
  if (path.size() == 0 || path.size() > MAX_PATH_BYTES) return Status::OVERSIZED;
  if (!isUtf8(path)) return Status::BAD_REQUEST;
  for (auto prefix : PREFIXES) {
    if (!startsWith(path, prefix)) continue;
    auto relative = path.slice(prefix.size(), path.size());  // shorter than 192 bytes, as the whole is not longer
    if (relative.size() == 0) return Status::OVERSIZED;
    if (!hasOnlySegments(relative)) return Status::PATH_TRAVERSAL;
    return Path{path, relative};
  }
  return Status::NON_PACKAGEFS_SCHEME;
}

Request decodeRequest(bool authenticated, kj::ArrayPtr<const kj::byte> frame) {
  wire::Header header;
  FrameReader reader(frame);
  bool readable = reader.tryRead(header) && hasMagic(header, MAGIC) && header.version() == VERSION;
  uint8_t echoed = readable ? header.op() | REPLY_BIT : HEADER_FAULT_OP;
  if (!authenticated) return Fault{echoed, Status::UNAUTHENTICATED};
  if (!readable) return Fault{echoed, Status::BAD_REQUEST};
  auto body = decodeBody(header.op(), frame);
  if (body.is<Status>()) return Fault{echoed, body.get<Status>()};
  return kj::mv(body.get<Request>());
}

kj::Array<kj::byte> encodeFault(const Fault& fault) {
  return bytesOf(wire::PkStatus(header(MAGIC, fault.replyOp), static_cast<uint8_t>(fault.status)));
}

kj::Array<kj::byte> encodeStatus(Op op, Status status) {
  KJ_REQUIRE(status != Status::OK || op == Op::CLOSE, "an OK reply to this op carries more than a status");
  return encodeFault(Fault{replyOp(op), status});
}

kj::Array<kj::byte> encodeStatReply(uint64_t size, uint16_t kind) {
  return bytesOf(wire::PkStatReply(header(MAGIC, replyOp(Op::STAT)), static_cast<uint8_t>(Status::OK),
                                   span(le<8>(size)), span(le<2>(kind))));
}

kj::Array<kj::byte> encodeOpenReply(uint32_t handle) {
  return bytesOf(
      wire::PkOpenReply(header(MAGIC, replyOp(Op::OPEN)), static_cast<uint8_t>(Status::OK), span(le<4>(handle))));
}

kj::Array<kj::byte> encodeReadReply(kj::ArrayPtr<const kj::byte> data) {
  auto carried = data.slice(0, kj::min(data.size(), MAX_READ_BYTES));
  return bytesOf(wire::PkReadReply(header(MAGIC, replyOp(Op::READ)), static_cast<uint8_t>(Status::OK),
                                   span(le<2>(carried.size()))),
                 carried);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeStat(kj::ArrayPtr<const char> path) {
  return tryEncodePath(Op::STAT, path);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeOpen(kj::ArrayPtr<const char> path) {
  return tryEncodePath(Op::OPEN, path);
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeRead(uint32_t handle, uint32_t offset, uint16_t length) {
  if (length == 0 || length > MAX_READ_BYTES) return nullptr;
  return bytesOf(wire::PkRead(header(MAGIC, static_cast<uint8_t>(Op::READ)), span(le<4>(handle)), span(le<4>(offset)),
                              span(le<2>(length))));
}

kj::Array<kj::byte> encodeClose(uint32_t handle) {
  return bytesOf(wire::PkClose(header(MAGIC, static_cast<uint8_t>(Op::CLOSE)), span(le<4>(handle))));
}

kj::Maybe<StatReply> decodeStatReply(kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (status, statusOf(frame, Op::STAT)) {
    if (*status != Status::OK) return StatReply{*status, 0, 0};
    FrameReader reader(frame);
    wire::PkStatReply fixed;
    if (!reader.tryRead(fixed) || reader.remaining() > 0) return nullptr;
    return StatReply{Status::OK, fromLe(fixed.size()), uint16_t(fromLe(fixed.kind()))};
  }
  return nullptr;
}

kj::Maybe<OpenReply> decodeOpenReply(kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (status, statusOf(frame, Op::OPEN)) {
    if (*status != Status::OK) return OpenReply{*status, 0};
    FrameReader reader(frame);
    wire::PkOpenReply fixed;
    if (!reader.tryRead(fixed) || reader.remaining() > 0) return nullptr;
    return OpenReply{Status::OK, uint32_t(fromLe(fixed.handle()))};
  }
  return nullptr;
}

kj::Maybe<ReadReply> decodeReadReply(kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (status, statusOf(frame, Op::READ)) {
    if (*status != Status::OK) return ReadReply{*status, nullptr};
    FrameReader reader(frame);
    wire::PkReadReply fixed;
    if (!reader.tryRead(fixed)) return nullptr;
    size_t length = fromLe(fixed.length());
    if (length > MAX_READ_BYTES || length != reader.remaining()) return nullptr;
    return ReadReply{Status::OK, KJ_ASSERT_NONNULL(reader.tryTake(length))};
  }
  return nullptr;
}

kj::Maybe<Status> decodeCloseReply(kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (status, statusOf(frame, Op::CLOSE)) {
    if (*status == Status::OK && frame.size() != sizeof(wire::PkStatus)) return nullptr;
    return *status;
  }
  return nullptr;
}

}  // namespace nexus::pk
