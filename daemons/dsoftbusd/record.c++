#include "daemons/dsoftbusd/record.h"

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

bool RecordSender::appendRecord(kj::Vector<kj::byte>& out, uint8_t type, kj::ArrayPtr<const kj::byte> body) {
  auto plaintext = kj::heapArray<kj::byte>(1 + body.size());
  KJ_DEFER(wipeMemory(plaintext));
  plaintext[0] = type;
  if (body.size() > 0) memcpy(plaintext.begin() + 1, body.begin(), body.size());
  auto sealed = cipher.tryEncrypt(nullptr, plaintext);
  KJ_IF_MAYBE (ciphertext, sealed) {
    uint32_t length = ciphertext->size();
    for (int shift = 24; shift >= 0; shift -= 8) out.add(length >> shift);
    out.addAll(*ciphertext);
    underKey++;
    records++;
    return true;
  }
  return false;
}

kj::Maybe<kj::Array<kj::byte>> RecordSender::trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> body,
                                                     kj::TimePoint now) {
  KJ_REQUIRE(type != RECORD_TYPE_REKEY, "type 0 belongs to the record layer");
  KJ_REQUIRE(body.size() <= RECORD_MAX_BODY, "a record carries at most 65518 bytes", body.size());
  kj::Vector<kj::byte> out(2 * (RECORD_HEADER_BYTES + RECORD_MIN_CIPHERTEXT) + body.size());
  // The last record that the key may carry is the one that ends it.
  if (underKey >= limits.maxRecords - 1 || now - keySince >= limits.maxAge) {
    if (!appendRecord(out, RECORD_TYPE_REKEY, nullptr)) return nullptr;
    cipher.rekey();
    keySince = now;
    underKey = 0;
    rekeys++;
  }
  if (!appendRecord(out, type, body)) return nullptr;
  return out.releaseAsArray();
}

// --------------------------------------------------------------------------------------------------------------
// RecordReceiver

RecordReceiver::RecordReceiver(NoiseCipher c, const RecordLimits& limits) : cipher(kj::mv(c)), limits(limits) {}

void RecordReceiver::feed(kj::ArrayPtr<const kj::byte> bytes) {
  if (poisoned) return;  // nothing will ever be read from it
  if (consumed > 0) {
    size_t rest = pendingBytes();
    memmove(pending.begin(), pending.begin() + consumed, rest);
    pending.truncate(rest);
    consumed = 0;
  }
  pending.addAll(bytes);
}

RecordError RecordReceiver::poison(RecordError error) {
  poisoned = true;
  pending.clear();
  consumed = 0;
  return error;
}

kj::Maybe<kj::OneOf<Record, RecordError>> RecordReceiver::next() {
  for (;;) {
    if (poisoned) return kj::OneOf<Record, RecordError>(RecordError::POISONED);
    if (pendingBytes() < RECORD_HEADER_BYTES) return nullptr;
    const kj::byte* p = pending.begin() + consumed;
    size_t length = size_t(p[0]) << 24 | size_t(p[1]) << 16 | size_t(p[2]) << 8 | p[3];
    // Refused before a byte of it is waited for.
    if (length < RECORD_MIN_CIPHERTEXT || length > RECORD_MAX_CIPHERTEXT) {
      return kj::OneOf<Record, RecordError>(poison(RecordError::BAD_LENGTH));
    }
    if (pendingBytes() < RECORD_HEADER_BYTES + length) return nullptr;
    auto opened = cipher.tryDecrypt(nullptr, kj::arrayPtr(p + RECORD_HEADER_BYTES, length));
    consumed += RECORD_HEADER_BYTES + length;
    KJ_IF_MAYBE (plaintext, opened) {
      KJ_DEFER(wipeMemory(*plaintext));
      records++;
      underKey++;
      uint8_t type = (*plaintext)[0];
      auto body = plaintext->slice(1, plaintext->size());
      if (type == RECORD_TYPE_REKEY) {
        if (body.size() > 0) return kj::OneOf<Record, RecordError>(poison(RecordError::BAD_REKEY));
        cipher.rekey();
        rekeys++;
        underKey = 0;
        continue;
      }
      if (underKey >= limits.maxRecords) return kj::OneOf<Record, RecordError>(poison(RecordError::REKEY_OVERDUE));
      return kj::OneOf<Record, RecordError>(Record{type, kj::heapArray<kj::byte>(body)});
    }
    return kj::OneOf<Record, RecordError>(poison(RecordError::CRYPTO));
  }
}

}  // namespace nexus
