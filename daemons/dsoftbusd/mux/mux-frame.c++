#include "daemons/dsoftbusd/mux/mux-frame.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstring>

namespace nexus {

namespace {

enum Type : uint8_t { OPEN = 16, OPEN_ACK = 17, DATA = 18, WINDOW_UPDATE = 19, RST = 20, CLOSE = 21 };
static_assert(OPEN == MUX_FIRST_RECORD_TYPE && CLOSE == MUX_LAST_RECORD_TYPE);

constexpr size_t ID_BYTES = MUX_DATA_HEAD;
constexpr size_t RST_BYTES = 1 + 8;  // reason, audit id

uint64_t getBigEndian(kj::ArrayPtr<const kj::byte> bytes) {
  uint64_t value = 0;
  for (auto b : bytes) value = value << 8 | b;
  return value;
}

void putBigEndian(kj::ArrayPtr<kj::byte> out, uint64_t value) {
  for (size_t i = out.size(); i > 0; i--, value >>= 8) out[i - 1] = static_cast<kj::byte>(value);
}

// A body of `fixed` bytes after the stream id, and then `rest` more.
EncodedMuxFrame frameOf(Type type, MuxStreamId stream, size_t fixed, kj::ArrayPtr<const kj::byte> rest = nullptr) {
  KJ_REQUIRE(stream != 0, "a stream id is not 0");
  auto body = kj::heapArray<kj::byte>(ID_BYTES + fixed + rest.size());
  putBigEndian(body.slice(0, ID_BYTES), stream);
  if (rest.size() > 0) memcpy(body.begin() + ID_BYTES + fixed, rest.begin(), rest.size());
  return {type, kj::mv(body)};
}

void requirePayload(const MuxData& data) {
  KJ_REQUIRE(data.payload.size() > 0 && data.payload.size() <= MUX_MAX_DATA, "the payload's length",
             data.payload.size());
}

kj::Maybe<MuxFrame> parseFields(uint8_t type, MuxStreamId stream, kj::ArrayPtr<const kj::byte> rest) {
  switch (type) {
    case OPEN:
      if (rest.size() < 1 || rest[0] >= MUX_PRIORITIES) return nullptr;
      return MuxFrame(MuxOpen{stream, rest[0], rest.slice(1, rest.size()).asChars()});
    case OPEN_ACK:
      if (rest.size() != 0) return nullptr;
      return MuxFrame(MuxOpenAck{stream});
    case DATA:
      if (rest.size() == 0) return nullptr;
      return MuxFrame(MuxData{stream, rest});
    case WINDOW_UPDATE: {
      if (rest.size() != 8) return nullptr;
      auto delta = static_cast<int64_t>(getBigEndian(rest));
      if (delta == 0) return nullptr;
      return MuxFrame(MuxWindowUpdate{stream, delta});
    }
    case RST:
      if (rest.size() != RST_BYTES) return nullptr;
      if (rest[0] < kj::byte(MuxResetReason::ABORTED) || rest[0] > kj::byte(MuxResetReason::DENIED)) return nullptr;
      return MuxFrame(MuxRst{stream, static_cast<MuxResetReason>(rest[0]), getBigEndian(rest.slice(1, RST_BYTES))});
    case CLOSE:
      if (rest.size() != 0) return nullptr;
      return MuxFrame(MuxClose{stream});
  }
  return nullptr;
}

}  // namespace

kj::StringPtr muxResetReasonName(MuxResetReason reason) {
  switch (reason) {
    case MuxResetReason::ABORTED:
      return "aborted"_kj;
    case MuxResetReason::DUPLICATE_NAME:
      return "a stream of that name is open"_kj;
    case MuxResetReason::STREAM_LIMIT:
      return "too many streams"_kj;
    case MuxResetReason::BACKLOG_FULL:
      return "nobody accepts it"_kj;
    case MuxResetReason::DENIED:
      return "denied"_kj;
  }
  return "unknown"_kj;
}

bool isMuxStreamName(kj::ArrayPtr<const char> name) {
  if (name.size() == 0 || name.size() > MUX_MAX_NAME) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

MuxStreamId streamOf(const MuxFrame& frame) {
  KJ_SWITCH_ONEOF(frame) {
    KJ_CASE_ONEOF(f, MuxOpen) {
      return f.stream;
    }
    KJ_CASE_ONEOF(f, MuxOpenAck) {
      return f.stream;
    }
    KJ_CASE_ONEOF(f, MuxData) {
      return f.stream;
    }
    KJ_CASE_ONEOF(f, MuxWindowUpdate) {
      return f.stream;
    }
    KJ_CASE_ONEOF(f, MuxRst) {
      return f.stream;
    }
    KJ_CASE_ONEOF(f, MuxClose) {
      return f.stream;
    }
  }
  KJ_UNREACHABLE;
}

kj::Maybe<MuxFrame> tryParseMuxFrame(uint8_t type, kj::ArrayPtr<const kj::byte> body) {
  if (body.size() < ID_BYTES) return nullptr;
  auto stream = static_cast<MuxStreamId>(getBigEndian(body.slice(0, ID_BYTES)));
  if (stream == 0) return nullptr;
  return parseFields(type, stream, body.slice(ID_BYTES, body.size()));
}

kj::Maybe<MuxStreamId> tryParseMuxDataHead(uint8_t type, kj::ArrayPtr<const kj::byte> head) {
  if (type != DATA || head.size() != MUX_DATA_HEAD) return nullptr;
  auto stream = static_cast<MuxStreamId>(getBigEndian(head));
  if (stream == 0) return nullptr;
  return stream;
}

EncodedMuxFrame encodeMuxFrame(const MuxFrame& frame) {
  KJ_SWITCH_ONEOF(frame) {
    KJ_CASE_ONEOF(open, MuxOpen) {
      KJ_REQUIRE(open.priority < MUX_PRIORITIES, "the priority is 0 to 7", open.priority);
      KJ_REQUIRE(open.name.size() > 0 && open.name.size() <= MUX_MAX_NAME, "the name's length", open.name.size());
      auto encoded = frameOf(OPEN, open.stream, 1, open.name.asBytes());
      encoded.body[ID_BYTES] = open.priority;
      return encoded;
    }
    KJ_CASE_ONEOF(ack, MuxOpenAck) {
      return frameOf(OPEN_ACK, ack.stream, 0);
    }
    KJ_CASE_ONEOF(data, MuxData) {
      requirePayload(data);
      return frameOf(DATA, data.stream, 0, data.payload);
    }
    KJ_CASE_ONEOF(update, MuxWindowUpdate) {
      KJ_REQUIRE(update.delta != 0, "a window update changes something");
      auto encoded = frameOf(WINDOW_UPDATE, update.stream, 8);
      putBigEndian(encoded.body.slice(ID_BYTES, ID_BYTES + 8), static_cast<uint64_t>(update.delta));
      return encoded;
    }
    KJ_CASE_ONEOF(rst, MuxRst) {
      auto encoded = frameOf(RST, rst.stream, RST_BYTES);
      encoded.body[ID_BYTES] = kj::byte(rst.reason);
      putBigEndian(encoded.body.slice(ID_BYTES + 1, ID_BYTES + RST_BYTES), rst.auditId);
      return encoded;
    }
    KJ_CASE_ONEOF(close, MuxClose) {
      return frameOf(CLOSE, close.stream, 0);
    }
  }
  KJ_UNREACHABLE;
}

EncodedMuxFrame encodeMuxHead(const MuxFrame& frame) {
  if (!frame.is<MuxData>()) return encodeMuxFrame(frame);
  auto& data = frame.get<MuxData>();
  requirePayload(data);
  return frameOf(DATA, data.stream, 0);
}

kj::ArrayPtr<const kj::byte> muxPayload(const MuxFrame& frame) {
  if (!frame.is<MuxData>()) return nullptr;
  return frame.get<MuxData>().payload;
}

}  // namespace nexus
