#pragma once
// The messages of a session, each the body of one record (record.h) of its type: ping, pong, request, response, close.
// One parser, one encoder; pure bytes. A peer writes these: every length is checked before the bytes are read, and
// trailing bytes are an error. Knows nothing of keys, sockets or policy.
//
// Integers are big-endian, like the length that frames a record.
//
//   type 1 PING, 2 PONG   id u64   payload (the rest, 0 to 256 bytes; a pong repeats id and payload)
//   type 3 REQUEST        id u64   n u8 (1..64)   service, n bytes   frame (the rest)
//   type 4 RESPONSE       id u64   status u8   audit id u64   reply (the rest, 0 to 512 bytes)
//   type 5 CLOSE          reason u8   audit id u64
//
// The parser lets a request frame of any length pass, so that one that is too long can be refused with a status
// (remote-proxy).
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/remote/call-status.h"

namespace nexus {

struct PingMessage {
  uint64_t id;
  kj::ArrayPtr<const kj::byte> payload;
};

struct PongMessage {
  uint64_t id;
  kj::ArrayPtr<const kj::byte> payload;
};

struct RequestMessage {
  uint64_t id;  // chosen by the caller, repeated in the response
  kj::ArrayPtr<const char> service;
  kj::ArrayPtr<const kj::byte> frame;
};

struct ResponseMessage {
  uint64_t id;
  CallStatus status;
  uint64_t auditId;  // of the decision's record at the answering node
  kj::ArrayPtr<const kj::byte> reply;
};

// Why a session was closed by its sender. The last record of a session.
enum class CloseReason : kj::byte {
  SHUTDOWN = 1,         // the node stops
  UNAUTHENTICATED = 2,  // the key that was proven is not in the trust table, or not with that device id
  PROTOCOL_ERROR = 3,   // a record or message that must not be
  SUPERSEDED = 4,       // another session with the same peer is kept
  TIMED_OUT = 5,        // no answer to the keep-alive
};

struct CloseMessage {
  CloseReason reason;
  uint64_t auditId;  // 0: no audit record
};

using SessionMessage = kj::OneOf<PingMessage, PongMessage, RequestMessage, ResponseMessage, CloseMessage>;

constexpr size_t MAX_SERVICE_NAME = 64;  // bytes

// The views point into `body`. Null for anything that is not exactly one message.
kj::Maybe<SessionMessage> tryParseSessionMessage(uint8_t type, kj::ArrayPtr<const kj::byte> body);

struct EncodedMessage {
  uint8_t type;  // of the record
  kj::Array<kj::byte> body;
};

// FAILED when a field is beyond its bound: the caller has checked them.
EncodedMessage encodeSessionMessage(const SessionMessage& message);

kj::StringPtr closeReasonName(CloseReason reason);

}  // namespace nexus
