#include "libs/oslite-frames/statefs-frames.h"

#include <kj/debug.h>

#include "libs/oslite-frames/frame-bytes.h"
#include "libs/oslite-frames/utf8.h"

namespace nexus::sf {

using namespace nexus::oslite;

namespace {

constexpr Magic MAGIC{'S', 'F'};
constexpr uint8_t HEADER_FAULT_OP = 0x80;
constexpr uint8_t VERSION_WITH_NONCE = 2;
using Body = kj::OneOf<Put, Get, Del, List, Sync, Reopen>;

wire::Header head(uint8_t op, const Nonce& nonce) {
  return wire::Header(span(MAGIC), nonce == nullptr ? VERSION : VERSION_WITH_NONCE, op);
}

void appendNonce(kj::Vector<kj::byte>& out, const Nonce& nonce) {
  KJ_IF_MAYBE (n, nonce) append(out, wire::Nonce(span(le<8>(*n))));
}

// The nonce that a frame of this header carries next. False when the version is unknown or the nonce is cut off.
bool tryReadNonce(FrameReader& reader, const wire::Header& header, Nonce& out) {
  if (header.version() == VERSION) return true;
  wire::Nonce nonce;
  if (header.version() != VERSION_WITH_NONCE || !reader.tryRead(nonce)) return false;
  out = fromLe(nonce.value());
  return true;
}

bool tryReadHead(FrameReader& reader, Head& out) {
  wire::Header header;
  if (!reader.tryRead(header) || !hasMagic(header, MAGIC)) return false;
  out.op = header.op();
  return tryReadNonce(reader, header, out.nonce);
}

kj::Maybe<Status> keyLengthFault(size_t length) {
  if (length == 0) return Status::MALFORMED;
  if (length > MAX_KEY_BYTES) return Status::KEY_TOO_LONG;
  return nullptr;
}

// The last `length` bytes of the frame.
kj::OneOf<Key, Status> takeKey(FrameReader& reader, size_t length) {
  if (reader.remaining() != length) return Status::MALFORMED;
  Key key = KJ_ASSERT_NONNULL(reader.tryTake(length)).asChars();
  if (!isUtf8(key)) return Status::INVALID_KEY;
  return key;
}

kj::OneOf<Body, Status> decodePut(FrameReader reader) {
  wire::SfPut fixed;
  if (!reader.tryRead(fixed)) return Status::MALFORMED;
  size_t keyLength = fromLe(fixed.key_length()), valueLength = fromLe(fixed.value_length());
  KJ_IF_MAYBE (fault, keyLengthFault(keyLength)) return *fault;
  if (valueLength > MAX_VALUE_BYTES) return Status::VALUE_TOO_LARGE;
  if (reader.remaining() != keyLength + valueLength) return Status::MALFORMED;
  Key key = KJ_ASSERT_NONNULL(reader.tryTake(keyLength)).asChars();
  if (!isUtf8(key)) return Status::INVALID_KEY;
  return Body(Put{key, KJ_ASSERT_NONNULL(reader.tryTake(valueLength))});
}

template <typename Keyed>
kj::OneOf<Body, Status> decodeKeyed(FrameReader reader) {
  wire::SfKeyed fixed;
  if (!reader.tryRead(fixed)) return Status::MALFORMED;
  size_t length = fromLe(fixed.key_length());
  KJ_IF_MAYBE (fault, keyLengthFault(length)) return *fault;
  auto key = takeKey(reader, length);
  if (key.is<Status>()) return key.get<Status>();
  return Body(Keyed{key.get<Key>()});
}

kj::OneOf<Body, Status> decodeList(FrameReader reader) {
  wire::SfList fixed;
  if (!reader.tryRead(fixed)) return Status::MALFORMED;
  size_t length = fromLe(fixed.prefix_length());
  if (length > MAX_KEY_BYTES) return Status::KEY_TOO_LONG;
  auto prefix = takeKey(reader, length);
  if (prefix.is<Status>()) return prefix.get<Status>();
  auto limit = uint16_t(fromLe(fixed.limit()));
  return Body(List{prefix.get<Key>(), kj::max(uint16_t(1), kj::min(limit, MAX_LIST_LIMIT))});
}

template <typename Bare>
kj::OneOf<Body, Status> decodeBare(const FrameReader& reader) {
  if (reader.remaining() > 0) return Status::MALFORMED;
  return Body(Bare{});
}

kj::OneOf<Body, Status> decodeBody(uint8_t op, FrameReader reader) {
  switch (static_cast<Op>(op)) {
    case Op::PUT:
      return decodePut(reader);
    case Op::GET:
      return decodeKeyed<Get>(reader);
    case Op::DEL:
      return decodeKeyed<Del>(reader);
    case Op::LIST:
      return decodeList(reader);
    case Op::SYNC:
      return decodeBare<Sync>(reader);
    case Op::REOPEN:
      return decodeBare<Reopen>(reader);
  }
  return Status::UNSUPPORTED;
}

void appendReplyHead(kj::Vector<kj::byte>& out, Op op, const Nonce& nonce, Status status) {
  append(out, wire::SfReply(head(static_cast<uint8_t>(op) | REPLY_BIT, nonce), static_cast<uint8_t>(status)));
  appendNonce(out, nonce);
}

bool tryReadValue(FrameReader& reader, Value& out) {
  wire::SfValue fixed;
  if (!reader.tryRead(fixed)) return false;
  size_t length = fromLe(fixed.value_length());
  if (length > MAX_VALUE_BYTES) return false;
  KJ_IF_MAYBE (value, reader.tryTake(length)) {
    out = *value;
    return true;
  }
  return false;
}

bool tryReadKeys(FrameReader& reader, kj::Array<Key>& out) {
  wire::SfKeyCount fixed;
  if (!reader.tryRead(fixed)) return false;
  kj::Vector<Key> keys;
  for (size_t left = fromLe(fixed.count()); left > 0; left--) {
    wire::SfKeyLength length;
    if (!reader.tryRead(length)) return false;
    size_t bytes = fromLe(length.length());
    if (bytes == 0 || bytes > MAX_KEY_BYTES) return false;
    KJ_IF_MAYBE (key, reader.tryTake(bytes))
      keys.add(key->asChars());
    else
      return false;
  }
  out = keys.releaseAsArray();
  return true;
}

// What a reply of `op` carries behind its status and nonce.
bool tryReadBody(FrameReader& reader, Op op, Reply& out) {
  bool refused = out.status != Status::OK;
  if (refused && reader.remaining() == 0) return true;  // a fault of form
  if (op == Op::GET && !tryReadValue(reader, out.value)) return false;
  if (op == Op::LIST && !tryReadKeys(reader, out.keys)) return false;
  if (refused && (out.value.size() > 0 || out.keys.size() > 0)) return false;
  return reader.remaining() == 0;
}

}  // namespace

kj::Maybe<Head> decodeHead(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  Head result;
  if (!tryReadHead(reader, result)) return nullptr;
  return result;
}

kj::OneOf<Request, Fault> decodeRequest(kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  Head head;
  if (!tryReadHead(reader, head)) return Fault{HEADER_FAULT_OP, nullptr, Status::MALFORMED};
  auto body = decodeBody(head.op, reader);
  if (body.is<Status>()) return Fault{uint8_t(head.op | REPLY_BIT), head.nonce, body.get<Status>()};
  return Request{head.nonce, body.get<Body>()};
}

kj::Array<kj::byte> encodeFault(const Fault& fault) {
  kj::Vector<kj::byte> out;
  append(out, wire::SfReply(head(fault.replyOp, fault.nonce), static_cast<uint8_t>(fault.status)));
  appendNonce(out, fault.nonce);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeStatusReply(Op op, Nonce nonce, Status status) {
  bool carriesMore = op == Op::GET || op == Op::LIST;
  KJ_REQUIRE(status != Status::OK || !carriesMore, "an OK reply to this op carries more than a status");
  kj::Vector<kj::byte> out;
  appendReplyHead(out, op, nonce, status);
  if (op == Op::GET) append(out, wire::SfValue(span(le<4>(0))));
  if (op == Op::LIST) append(out, wire::SfKeyCount(span(le<2>(0))));
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeGetReply(Nonce nonce, Value value) {
  KJ_REQUIRE(value.size() <= MAX_VALUE_BYTES, "a value is at most 65536 bytes", value.size());
  kj::Vector<kj::byte> out;
  appendReplyHead(out, Op::GET, nonce, Status::OK);
  append(out, wire::SfValue(span(le<4>(value.size()))));
  out.addAll(value);
  return out.releaseAsArray();
}

kj::Array<kj::byte> encodeListReply(Nonce nonce, kj::ArrayPtr<const Key> keys, size_t maxBytes) {
  kj::Vector<kj::byte> out;
  appendReplyHead(out, Op::LIST, nonce, Status::OK);
  size_t bytes = out.size() + sizeof(wire::SfKeyCount), count = 0;
  KJ_REQUIRE(bytes <= maxBytes, "no room for an empty list", maxBytes);
  for (; count < keys.size() && count < UINT16_MAX; count++) {
    size_t length = keys[count].size();
    KJ_REQUIRE(1 <= length && length <= MAX_KEY_BYTES, "a key is 1 to 255 bytes", length);
    if (bytes + sizeof(wire::SfKeyLength) + length > maxBytes) break;
    bytes += sizeof(wire::SfKeyLength) + length;
  }
  append(out, wire::SfKeyCount(span(le<2>(count))));
  for (auto& key : keys.slice(0, count)) {
    append(out, wire::SfKeyLength(span(le<2>(key.size()))));
    out.addAll(key.asBytes());
  }
  return out.releaseAsArray();
}

kj::Maybe<kj::Array<kj::byte>> tryEncodeRequest(const Request& request) {
  kj::Vector<kj::byte> out;
  auto begin = [&](Op op) {
    append(out, head(static_cast<uint8_t>(op), request.nonce));
    appendNonce(out, request.nonce);
  };
  auto keyed = [&](Op op, Key key) {
    begin(op);
    append(out, wire::SfKeyed(span(le<2>(key.size()))));
    out.addAll(key.asBytes());
    return keyLengthFault(key.size()) == nullptr;
  };
  bool fits = true;
  KJ_SWITCH_ONEOF(request.body) {
    KJ_CASE_ONEOF(r, Put) {
      fits = keyLengthFault(r.key.size()) == nullptr && r.value.size() <= MAX_VALUE_BYTES;
      begin(Op::PUT);
      append(out, wire::SfPut(span(le<2>(r.key.size())), span(le<4>(r.value.size()))));
      out.addAll(r.key.asBytes());
      out.addAll(r.value);
    }
    KJ_CASE_ONEOF(r, Get) fits = keyed(Op::GET, r.key);
    KJ_CASE_ONEOF(r, Del) fits = keyed(Op::DEL, r.key);
    KJ_CASE_ONEOF(r, List) {
      fits = r.prefix.size() <= MAX_KEY_BYTES;
      begin(Op::LIST);
      append(out, wire::SfList(span(le<2>(r.prefix.size())), span(le<2>(r.limit))));
      out.addAll(r.prefix.asBytes());
    }
    KJ_CASE_ONEOF(r, Sync) begin(Op::SYNC);
    KJ_CASE_ONEOF(r, Reopen) begin(Op::REOPEN);
  }
  if (!fits) return nullptr;
  return out.releaseAsArray();
}

kj::Maybe<Reply> decodeReply(Op op, kj::ArrayPtr<const kj::byte> frame) {
  FrameReader reader(frame);
  wire::SfReply fixed;
  if (!reader.tryRead(fixed) || !hasMagic(fixed.header(), MAGIC)) return nullptr;
  if (fixed.header().op() != (static_cast<uint8_t>(op) | REPLY_BIT)) return nullptr;
  if (fixed.status() > static_cast<uint8_t>(Status::ROLLBACK_DETECTED)) return nullptr;
  Reply result{nullptr, static_cast<Status>(fixed.status()), nullptr, nullptr};
  if (!tryReadNonce(reader, fixed.header(), result.nonce) || !tryReadBody(reader, op, result)) return nullptr;
  return kj::mv(result);
}

bool correlates(const Nonce& asked, const Reply& reply) {
  return asked == reply.nonce;
}

bool answers(const Nonce& asked, const Reply& reply) {
  return correlates(asked, reply) || (reply.nonce == nullptr && reply.status != Status::OK);
}

}  // namespace nexus::sf
