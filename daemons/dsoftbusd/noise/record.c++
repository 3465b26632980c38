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

namespace {

void checkSealable(uint8_t type, size_t body) {
  KJ_REQUIRE(type != RECORD_TYPE_REKEY, "type 0 belongs to the record layer");
  KJ_REQUIRE(body <= RECORD_MAX_BODY, "a record carries at most 65518 bytes", body);
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------------
// RecordSender

RecordSender::RecordSender(NoiseCipher c, kj::TimePoint now, const RecordLimits& limits)
    : cipher(kj::mv(c)), limits(limits), keySince(now) {
  KJ_REQUIRE(limits.maxRecords >= 2, "a key must last for a record and its REKEY", limits.maxRecords);
}

// out: exactly the record. Everything is put where the ciphertext will be, and sealed there.
bool RecordSender::putRecord(kj::ArrayPtr<kj::byte> out, uint8_t type, kj::ArrayPtr<const kj::byte> head,
                             kj::ArrayPtr<const kj::byte> rest) {
  size_t length = out.size() - RECORD_HEADER_BYTES;
  for (size_t i = 0; i < RECORD_HEADER_BYTES; i++) out[i] = length >> 8 * (RECORD_HEADER_BYTES - 1 - i);
  auto at = out.begin() + RECORD_HEADER_BYTES;
  *at++ = type;
  if (head.size() > 0) memcpy(at, head.begin(), head.size());
  at += head.size();
  if (rest.size() > 0 && rest.begin() != at) memcpy(at, rest.begin(), rest.size());
  if (!cipher.trySealInPlace(out.slice(RECORD_HEADER_BYTES, out.size()))) {
    wipeMemory(out);  // nothing readable is left behind, whoever sends it
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

kj::Maybe<SealedRecord> RecordSender::trySealWithin(uint8_t type, kj::ArrayPtr<const kj::byte> head,
                                                    kj::ArrayPtr<const kj::byte> rest, kj::Array<kj::byte> memory,
                                                    kj::TimePoint now) {
  auto begin = const_cast<kj::byte*>(rest.begin()), end = const_cast<kj::byte*>(rest.end());
  bool fits = memory.size() > 0 && begin >= memory.begin() + headroom(head) && end + NOISE_TAG_BYTES <= memory.end();
  if (!fits || mustRenew(now)) {
    KJ_IF_MAYBE (bytes, trySeal(type, head, rest, now)) {
      SealedRecord sealed{kj::mv(*bytes), nullptr};
      sealed.bytes = sealed.memory;
      return kj::mv(sealed);
    }
    return nullptr;
  }
  checkSealable(type, head.size() + rest.size());
  auto out = kj::arrayPtr(begin - headroom(head), end + NOISE_TAG_BYTES);
  if (!putRecord(out, type, head, rest)) return nullptr;
  return SealedRecord{kj::mv(memory), out};
}

kj::Maybe<kj::Array<kj::byte>> RecordSender::trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> head,
                                                     kj::ArrayPtr<const kj::byte> rest, kj::TimePoint now) {
  size_t body = head.size() + rest.size();
  checkSealable(type, body);
  constexpr size_t EMPTY = RECORD_HEADER_BYTES + RECORD_MIN_CIPHERTEXT;
  bool renew = mustRenew(now);
  size_t first = renew ? EMPTY : 0;
  auto out = kj::heapArray<kj::byte>(first + EMPTY + body);
  if (renew) {
    if (!putRecord(out.slice(0, first), RECORD_TYPE_REKEY, nullptr, nullptr)) return nullptr;
    cipher.rekey();
    keySince = now;
    underKey = 0;
    rekeys++;
  }
  if (!putRecord(out.slice(first, out.size()), type, head, rest)) return nullptr;
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
    kj::Array<kj::byte> memory;
    kj::Maybe<kj::ArrayPtr<kj::byte>> opened;
    if (length >= OWN_MEMORY) {
      memory = kj::heapArray<kj::byte>(length - NOISE_TAG_BYTES);
      if (cipher.tryOpen(sealed, memory)) opened = memory.asPtr();
    } else {
      opened = cipher.tryOpenInPlace(sealed);
    }
    KJ_IF_MAYBE (plaintext, opened) {
      records++;
      underKey++;
      uint8_t type = (*plaintext)[0];
      auto body = plaintext->slice(1, plaintext->size());
      if (type == RECORD_TYPE_REKEY) {
        if (body.size() > 0) return Result(poison(RecordError::BAD_REKEY));
        cipher.rekey();
        rekeys++;
        underKey = 0;
        continue;
      }
      if (underKey >= limits.maxRecords) return Result(poison(RecordError::REKEY_OVERDUE));
      return Result(Record{type, body, kj::mv(memory)});
    }
    return Result(poison(RecordError::CRYPTO));
  }
}

}  // namespace nexus
