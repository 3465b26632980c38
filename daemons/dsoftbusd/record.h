#pragma once
// Encrypted records on a byte stream, after the handshake: u32 big-endian length, then that many bytes (17 to 65535) of
// ciphertext. The plaintext is a type byte and a body; the associated data is empty; each direction has its own key and
// counter, so that a record which is changed, repeated, left out or out of order does not decrypt.
//
// Keys are renewed in step (Noise revision 34, section 11.3): after `maxRecords` records or `maxAge`, the sender sends
// a record of type REKEY and both ends move on. The receiver refuses a key that is used for longer. Any fault poisons
// the channel for good. Owned by a session; pure: bytes and time come in.
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/time.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/noise-cipher.h"

namespace nexus {

constexpr uint8_t RECORD_TYPE_REKEY = 0;  // this layer's own, never delivered; all other types are the caller's
constexpr size_t RECORD_HEADER_BYTES = 4;
constexpr size_t RECORD_MIN_CIPHERTEXT = 1 + NOISE_TAG_BYTES;
constexpr size_t RECORD_MAX_CIPHERTEXT = NOISE_MAX_MESSAGE;
constexpr size_t RECORD_MAX_BODY = RECORD_MAX_CIPHERTEXT - RECORD_MIN_CIPHERTEXT;  // 65518

struct RecordLimits {
  uint64_t maxRecords = 1 << 16;           // under one key, the REKEY record included; the same at both ends
  kj::Duration maxAge = 10 * kj::MINUTES;  // of a sending key
};

struct Record {
  uint8_t type;
  kj::Array<kj::byte> body;
};

enum class RecordError {
  BAD_LENGTH,     // a length below 17 or above 65535
  CRYPTO,         // not authentic, repeated, out of order, or the counter is at its end
  BAD_REKEY,      // a REKEY record with a body
  REKEY_OVERDUE,  // more records under one key than agreed
  POISONED,       // failed earlier
};
kj::StringPtr KJ_STRINGIFY(RecordError error);

class RecordSender {
 public:
  RecordSender(NoiseCipher cipher, kj::TimePoint now, const RecordLimits& limits = {});

  // The bytes to put on the stream: one record, or a REKEY record and then this one. type is not 0, body at most
  // RECORD_MAX_BODY bytes: anything else is FAILED. Null when the counter is at its end: the session must end.
  kj::Maybe<kj::Array<kj::byte>> trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> body, kj::TimePoint now);

  uint64_t recordCount() const { return records; }  // including REKEY records
  uint64_t rekeyCount() const { return rekeys; }

 private:
  NoiseCipher cipher;
  RecordLimits limits;
  kj::TimePoint keySince;
  uint64_t underKey = 0, records = 0, rekeys = 0;

  bool appendRecord(kj::Vector<kj::byte>& out, uint8_t type, kj::ArrayPtr<const kj::byte> body);
};

class RecordReceiver {
 public:
  explicit RecordReceiver(NoiseCipher cipher, const RecordLimits& limits = {});

  // Takes bytes from the stream, however they are cut. Call next() until it is null afterwards; then at most one
  // incomplete record is kept.
  void feed(kj::ArrayPtr<const kj::byte> bytes);

  // The next whole record, a fault, or null when more bytes are needed. After a fault every call answers POISONED.
  kj::Maybe<kj::OneOf<Record, RecordError>> next();

  uint64_t recordCount() const { return records; }  // including REKEY records
  uint64_t rekeyCount() const { return rekeys; }
  bool isPoisoned() const { return poisoned; }

  // Bytes of an incomplete record; at the end of the stream anything but 0 is a truncation.
  size_t pendingBytes() const { return pending.size() - consumed; }

 private:
  NoiseCipher cipher;
  RecordLimits limits;
  kj::Vector<kj::byte> pending;
  size_t consumed = 0;
  uint64_t underKey = 0, records = 0, rekeys = 0;
  bool poisoned = false;

  RecordError poison(RecordError error);
};

}  // namespace nexus
