#pragma once
// The frames of the mux, each the body of one record (record.h) of its type: many streams in one session. One parser,
// one encoder; pure bytes. A peer writes these: every length is checked before the bytes are read, and trailing bytes
// are an error. Knows nothing of states, credit or sessions.
//
// Integers are big-endian, like those of the session's own messages (session-message.h), whose record types 1 to 15
// are. Ping and pong are the session's: there are none for streams.
//
//   type 16 OPEN           stream u32   priority u8 (0 highest .. 7)   name (the rest)
//   type 17 OPEN_ACK       stream u32
//   type 18 DATA           stream u32   payload (the rest, at least 1 byte)
//   type 19 WINDOW_UPDATE  stream u32   delta i64 (two's complement, not 0)
//   type 20 RST            stream u32   reason u8   audit id u64
//   type 21 CLOSE          stream u32
//
// The parser lets a name and a payload of any length pass, so that the core (mux-core.h) can say what is wrong.
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// Never 0, never used twice in a session.
using MuxStreamId = uint32_t;

constexpr uint8_t MUX_FIRST_RECORD_TYPE = 16, MUX_LAST_RECORD_TYPE = 21;
constexpr size_t MUX_MAX_DATA = 32768;  // bytes of payload in one DATA
constexpr size_t MUX_MAX_NAME = 64;     // bytes of a stream's name; at least 1
constexpr kj::uint MUX_PRIORITIES = 8;  // 0 is served first

// Why a stream was reset by its sender.
enum class MuxResetReason : kj::byte {
  ABORTED = 1,         // a program gave it up; also the answer to a RST
  DUPLICATE_NAME = 2,  // a live stream has that name
  STREAM_LIMIT = 3,    // no place in the table
  BACKLOG_FULL = 4,    // nobody accepts
  DENIED = 5,          // no rule lets this peer open a stream of that name
};
kj::StringPtr muxResetReasonName(MuxResetReason reason);

struct MuxOpen {
  MuxStreamId stream;
  kj::byte priority;
  kj::ArrayPtr<const char> name;
};
struct MuxOpenAck {
  MuxStreamId stream;
};
struct MuxData {
  MuxStreamId stream;
  kj::ArrayPtr<const kj::byte> payload;
};
struct MuxWindowUpdate {
  MuxStreamId stream;
  int64_t delta;  // bytes that its sender lets the receiver send more (or fewer)
};
struct MuxRst {
  MuxStreamId stream;
  MuxResetReason reason;
  uint64_t auditId = 0;  // of the decision's record at the sender; 0: none
};
struct MuxClose {  // no more DATA from its sender
  MuxStreamId stream;
};

using MuxFrame = kj::OneOf<MuxOpen, MuxOpenAck, MuxData, MuxWindowUpdate, MuxRst, MuxClose>;

// 1 to MUX_MAX_NAME visible ASCII characters: names are shown to people and compared with policy.
bool isMuxStreamName(kj::ArrayPtr<const char> name);

MuxStreamId streamOf(const MuxFrame& frame);

// The views point into `body`. Null for anything that is not exactly one frame.
kj::Maybe<MuxFrame> tryParseMuxFrame(uint8_t type, kj::ArrayPtr<const kj::byte> body);

// A DATA can come in two parts: its head, of MUX_DATA_HEAD bytes, says whose the rest is. Null for any other frame.
constexpr size_t MUX_DATA_HEAD = 4;
kj::Maybe<MuxStreamId> tryParseMuxDataHead(uint8_t type, kj::ArrayPtr<const kj::byte> head);

struct EncodedMuxFrame {
  uint8_t type;  // of the record
  kj::Array<kj::byte> body;
};

// FAILED when a field is beyond its bound: the caller has checked them. A payload above MUX_MAX_DATA and a name of
// another length than 1 to MUX_MAX_NAME are among them.
EncodedMuxFrame encodeMuxFrame(const MuxFrame& frame);

// The same without the payload of a DATA, which follows it: for a sender that puts the two together.
EncodedMuxFrame encodeMuxHead(const MuxFrame& frame);
kj::ArrayPtr<const kj::byte> muxPayload(const MuxFrame& frame);  // empty but for a DATA

}  // namespace nexus
