#include "daemons/dsoftbusd/session/session-message.h"

#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {

namespace {

enum Type : uint8_t { PING = 1, PONG = 2, REQUEST = 3, RESPONSE = 4, CLOSE = 5 };

// Reads forward through the bytes of one message; null when they end too early.
class Cursor {
 public:
  explicit Cursor(kj::ArrayPtr<const kj::byte> bytes) : left(bytes) {}

  kj::Maybe<uint64_t> unsignedBigEndian(size_t size) {
    if (left.size() < size) return nullptr;
    uint64_t value = 0;
    for (auto b : left.slice(0, size)) value = value << 8 | b;
    left = left.slice(size, left.size());
    return value;
  }

  kj::Maybe<kj::ArrayPtr<const kj::byte>> take(size_t size) {
    if (left.size() < size) return nullptr;
    auto result = left.slice(0, size);
    left = left.slice(size, left.size());
    return result;
  }

  kj::ArrayPtr<const kj::byte> rest() const { return left; }

 private:
  kj::ArrayPtr<const kj::byte> left;
};

class Writer {
 public:
  explicit Writer(Type type) : type(type) {}

  void unsignedBigEndian(uint64_t value, size_t size) {
    for (size_t i = size; i > 0; i--) bytes.add(static_cast<kj::byte>(value >> (i - 1) * 8));
  }
  void raw(kj::ArrayPtr<const kj::byte> data) { bytes.addAll(data); }
  EncodedMessage finish() { return {type, bytes.releaseAsArray()}; }

 private:
  Type type;
  kj::Vector<kj::byte> bytes;
};

template <typename T>
kj::Maybe<SessionMessage> parseEcho(Cursor cursor) {
  KJ_IF_MAYBE (id, cursor.unsignedBigEndian(8)) {
    if (cursor.rest().size() > MAX_PING_PAYLOAD) return nullptr;
    return SessionMessage(T{*id, cursor.rest()});
  }
  return nullptr;
}

kj::Maybe<SessionMessage> parseRequest(Cursor cursor) {
  KJ_IF_MAYBE (id, cursor.unsignedBigEndian(8)) {
    KJ_IF_MAYBE (length, cursor.unsignedBigEndian(1)) {
      if (*length == 0 || *length > MAX_SERVICE_NAME) return nullptr;
      KJ_IF_MAYBE (service, cursor.take(*length)) {
        return SessionMessage(RequestMessage{*id, service->asChars(), cursor.rest()});
      }
    }
  }
  return nullptr;
}

kj::Maybe<SessionMessage> parseResponse(Cursor cursor) {
  KJ_IF_MAYBE (id, cursor.unsignedBigEndian(8)) {
    KJ_IF_MAYBE (status, cursor.unsignedBigEndian(1)) {
      if (*status > MAX_WIRE_STATUS) return nullptr;
      KJ_IF_MAYBE (auditId, cursor.unsignedBigEndian(8)) {
        if (cursor.rest().size() > MAX_CALL_REPLY) return nullptr;
        return SessionMessage(ResponseMessage{*id, static_cast<CallStatus>(*status), *auditId, cursor.rest()});
      }
    }
  }
  return nullptr;
}

kj::Maybe<SessionMessage> parseClose(Cursor cursor) {
  KJ_IF_MAYBE (reason, cursor.unsignedBigEndian(1)) {
    if (*reason < kj::byte(CloseReason::SHUTDOWN) || *reason > kj::byte(CloseReason::TIMED_OUT)) return nullptr;
    KJ_IF_MAYBE (auditId, cursor.unsignedBigEndian(8)) {
      if (cursor.rest().size() > 0) return nullptr;
      return SessionMessage(CloseMessage{static_cast<CloseReason>(*reason), *auditId});
    }
  }
  return nullptr;
}

EncodedMessage encodeEcho(Type type, uint64_t id, kj::ArrayPtr<const kj::byte> payload) {
  KJ_REQUIRE(payload.size() <= MAX_PING_PAYLOAD, "the ping payload is too long", payload.size());
  Writer writer(type);
  writer.unsignedBigEndian(id, 8);
  writer.raw(payload);
  return writer.finish();
}

EncodedMessage encodeRequest(const RequestMessage& request) {
  KJ_REQUIRE(request.service.size() > 0 && request.service.size() <= MAX_SERVICE_NAME, "the service name's length",
             request.service.size());
  Writer writer(REQUEST);
  writer.unsignedBigEndian(request.id, 8);
  writer.unsignedBigEndian(request.service.size(), 1);
  writer.raw(request.service.asBytes());
  writer.raw(request.frame);
  return writer.finish();
}

EncodedMessage encodeResponse(const ResponseMessage& response) {
  KJ_REQUIRE(kj::byte(response.status) <= MAX_WIRE_STATUS, "a status that does not travel");
  KJ_REQUIRE(response.reply.size() <= MAX_CALL_REPLY, "the reply is too long", response.reply.size());
  Writer writer(RESPONSE);
  writer.unsignedBigEndian(response.id, 8);
  writer.unsignedBigEndian(uint16_t(response.status), 1);
  writer.unsignedBigEndian(response.auditId, 8);
  writer.raw(response.reply);
  return writer.finish();
}

EncodedMessage encodeClose(const CloseMessage& close) {
  Writer writer(CLOSE);
  writer.unsignedBigEndian(kj::byte(close.reason), 1);
  writer.unsignedBigEndian(close.auditId, 8);
  return writer.finish();
}

}  // namespace

kj::Maybe<SessionMessage> tryParseSessionMessage(uint8_t type, kj::ArrayPtr<const kj::byte> body) {
  Cursor cursor(body);
  switch (type) {
    case PING:
      return parseEcho<PingMessage>(cursor);
    case PONG:
      return parseEcho<PongMessage>(cursor);
    case REQUEST:
      return parseRequest(cursor);
    case RESPONSE:
      return parseResponse(cursor);
    case CLOSE:
      return parseClose(cursor);
  }
  return nullptr;
}

EncodedMessage encodeSessionMessage(const SessionMessage& message) {
  KJ_SWITCH_ONEOF(message) {
    KJ_CASE_ONEOF(ping, PingMessage) {
      return encodeEcho(PING, ping.id, ping.payload);
    }
    KJ_CASE_ONEOF(pong, PongMessage) {
      return encodeEcho(PONG, pong.id, pong.payload);
    }
    KJ_CASE_ONEOF(request, RequestMessage) {
      return encodeRequest(request);
    }
    KJ_CASE_ONEOF(response, ResponseMessage) {
      return encodeResponse(response);
    }
    KJ_CASE_ONEOF(close, CloseMessage) {
      return encodeClose(close);
    }
  }
  KJ_UNREACHABLE;
}

kj::StringPtr closeReasonName(CloseReason reason) {
  switch (reason) {
    case CloseReason::SHUTDOWN:
      return "shutdown"_kj;
    case CloseReason::UNAUTHENTICATED:
      return "unauthenticated"_kj;
    case CloseReason::PROTOCOL_ERROR:
      return "protocol error"_kj;
    case CloseReason::SUPERSEDED:
      return "superseded by another session"_kj;
    case CloseReason::TIMED_OUT:
      return "timed out"_kj;
  }
  return "unknown"_kj;
}

}  // namespace nexus
