#include "daemons/dsoftbusd/noise/record.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus {

kj::StringPtr KJ_STRINGIFY(RecordError error) {
  switch (error) {
    case RecordError::BAD_LENGTH:
      return "bad record length"_kj;
    case RecordError::CRYPTO:
      return "record not authentic"_kj;
    case RecordError::BAD_REKEY:
      return "malformed rekey record"_kj;
    case RecordError::REKEY_OVERDUE:
      return "rekey overdue"_kj;
    case RecordError::POISONED:
      return "failed earlier"_kj;
  }
  return "unknown"_kj;
}

// ----------------------------------------------------------------------------------------------------------------
// RecordSender

RecordSender::RecordSender(NoiseCipher c, kj::TimePoint now, const RecordLimits& limits)
    : cipher(kj::mv(c)), limits(limits), keySince(now) {
  KJ_REQUIRE(limits.maxRecords >= 2, "a key must last for a record and its REKEY", limits.maxRecords);
}

// out: exactly the record.
bool RecordSender::putRecord(kj::ArrayPtr<kj::byte> out, uint8_t type, kj::ArrayPtr<const kj::byte> head,
                             kj::ArrayPtr<const kj::byte> rest) {
  size_t length = out.size() - RECORD_HEADER_BYTES;
  for (size_t i = 0; i < RECORD_HEADER_BYTES; i++) out[i] = length >> 8 * (RECORD_HEADER_BYTES - 1 - i);
  kj::byte start[1 + RECORD_MAX_HEAD];
  start[0] = type;
  if (head.size() > 0) memcpy(start + 1, head.begin(), head.size());
  if (!cipher.trySealTo(out.slice(RECORD_HEADER_BYTES, out.size()), kj::arrayPtr(start, 1 + head.size()), rest)) {
    return false;
  }
  underKey++;
  records++;
  return true;
}

// The last record that the key may carry is the one that ends it.
bool RecordSender::mustRenew(kj::TimePoint now) const {
  return underKey >= limits.maxRecords - 1 || now - keySince >= limits.maxAge;
}

constexpr size_t EMPTY_RECORD = RECORD_HEADER_BYTES + RECORD_MIN_CIPHERTEXT;

size_t RecordSender::sealedSize(size_t body, kj::TimePoint now) const {
  return (mustRenew(now) ? EMPTY_RECORD : 0) + EMPTY_RECORD + body;
}

bool RecordSender::trySealTo(kj::ArrayPtr<kj::byte> out, uint8_t type, kj::ArrayPtr<const kj::byte> head,
                             kj::ArrayPtr<const kj::byte> rest, kj::TimePoint now) {
  size_t body = head.size() + rest.size();
  KJ_REQUIRE(type != RECORD_TYPE_REKEY, "type 0 belongs to the record layer");
  KJ_REQUIRE(head.size() <= RECORD_MAX_HEAD, "a head is at most 63 bytes", head.size());
  KJ_REQUIRE(body <= RECORD_MAX_BODY, "a record carries at most 65518 bytes", body);
  KJ_REQUIRE(out.size() == sealedSize(body, now), "the place does not fit", out.size());
  if (mustRenew(now)) {
    if (!putRecord(out.slice(0, EMPTY_RECORD), RECORD_TYPE_REKEY, nullptr, nullptr)) return false;
    cipher.rekey();
    keySince = now;
    underKey = 0;
    rekeys++;
    out = out.slice(EMPTY_RECORD, out.size());
  }
  return putRecord(out, type, head, rest);
}

kj::Maybe<kj::Array<kj::byte>> RecordSender::trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> head,
                                                     kj::ArrayPtr<const kj::byte> rest, kj::TimePoint now) {
  auto out = kj::heapArray<kj::byte>(sealedSize(head.size() + rest.size(), now));
  if (!trySealTo(out, type, head, rest, now)) return nullptr;
  return kj::mv(out);
}

// --------------------------------------------------------------------------------------------------------------
// RecordReceiver

RecordReceiver::RecordReceiver(NoiseCipher c, const RecordLimits& limits) : cipher(kj::mv(c)), limits(limits) {}

// Room for `wanted` bytes behind what is pending, which goes to the front.
void RecordReceiver::makeRoom(size_t wanted) {
  size_t rest = pendingBytes();
  if (rest + wanted > buffer.size() || (rest == 0 && buffer.size() > wanted)) {
    auto larger = kj::heapArray<kj::byte>(rest + wanted);
    if (rest > 0) memcpy(larger.begin(), buffer.begin() + begin, rest);
    buffer = kj::mv(larger);
  } else if (begin > 0 && rest > 0) {
    memmove(buffer.begin(), buffer.begin() + begin, rest);
  }
  begin = 0;
  end = rest;
}

kj::ArrayPtr<kj::byte> RecordReceiver::space() {
  size_t rest = pendingBytes();
  KJ_ASSERT(rest < RECORD_HEADER_BYTES + RECORD_MAX_CIPHERTEXT, "next() was not called until it was null");
  // Much is under way: a record that does not fit, or a read that took all it could.
  bool large = filled || rest > RECEIVE_SMALL / 2;
  makeRoom((large ? RECEIVE_LARGE : RECEIVE_SMALL) - rest);
  return buffer.slice(end, buffer.size());
}

void RecordReceiver::received(size_t bytes) {
  KJ_REQUIRE(bytes <= buffer.size() - end);
  // A large space that is little used was not needed.
  filled = bytes == buffer.size() - end || (filled && bytes > RECEIVE_SMALL);
  if (poisoned) return;  // nothing will ever be read from it
  end += bytes;
}

void RecordReceiver::feed(kj::ArrayPtr<const kj::byte> bytes) {
  if (poisoned || bytes.size() == 0) return;
  makeRoom(bytes.size());
  memcpy(buffer.begin() + end, bytes.begin(), bytes.size());
  end += bytes.size();
}

RecordError RecordReceiver::poison(RecordError error) {
  poisoned = true;
  buffer = nullptr;
  begin = end = 0;
  return error;
}

kj::Maybe<kj::OneOf<Record, RecordError>> RecordReceiver::next() {
  using Result = kj::OneOf<Record, RecordError>;
  for (;;) {
    if (poisoned) return Result(RecordError::POISONED);
    if (pendingBytes() < RECORD_HEADER_BYTES) return nullptr;
    const kj::byte* p = buffer.begin() + begin;
    size_t length = size_t(p[0]) << 24 | size_t(p[1]) << 16 | size_t(p[2]) << 8 | p[3];
    // Refused before a byte of it is waited for.
    if (length < RECORD_MIN_CIPHERTEXT || length > RECORD_MAX_CIPHERTEXT) {
      return Result(poison(RecordError::BAD_LENGTH));
    }
    if (pendingBytes() < RECORD_HEADER_BYTES + length) return nullptr;
    size_t at = begin + RECORD_HEADER_BYTES;
    begin = at + length;
    auto sealed = buffer.slice(at, begin);
    auto opened = openRecord(sealed);
    if (opened.is<Record>() && opened.get<Record>().type == RECORD_TYPE_REKEY) {
      cipher.rekey();
      rekeys++;
      underKey = 0;
      continue;
    }
    return kj::mv(opened);
  }
}

kj::OneOf<Record, RecordError> RecordReceiver::openRecord(kj::ArrayPtr<kj::byte> sealed) {
  auto verified = cipher.tryVerify(sealed);
  KJ_IF_MAYBE (message, verified) {
    records++;
    underKey++;
    if (message->start()[0] == RECORD_TYPE_REKEY) {
      if (message->size() > 1) return poison(RecordError::BAD_REKEY);
      return Record{RECORD_TYPE_REKEY, nullptr, nullptr};
    }
    if (underKey >= limits.maxRecords) return poison(RecordError::REKEY_OVERDUE);
    if (sealed.size() >= OWN_MEMORY) return openLarge(*message);
    auto body = sealed.slice(1, message->size());
    message->open(1, body);
    return Record{message->start()[0], body, nullptr};
  }
  return poison(RecordError::CRYPTO);
}

Record RecordReceiver::openLarge(const VerifiedMessage& message) {
  auto type = message.start()[0];
  KJ_IF_MAYBE (placeFor, place) {
    auto shown = message.start().slice(1, 1 + headBytes);
    size_t following = message.size() - 1 - headBytes;
    auto out = (*placeFor)(type, shown, following);
    if (out.size() > 0) {
      message.open(1 + headBytes, out);
      return Record{type, out, nullptr, true};
    }
  }
  auto memory = kj::heapArray<kj::byte>(message.size() - 1);
  message.open(1, memory);
  auto body = memory.asPtr();
  return Record{type, body, kj::mv(memory)};
}

void RecordReceiver::placeWith(size_t bytes, RecordPlace function) {
  KJ_REQUIRE(bytes > 0 && bytes <= RECORD_MAX_HEAD, "a head is at most 63 bytes", bytes);
  headBytes = bytes;
  place = kj::mv(function);
}

}  // namespace nexus
