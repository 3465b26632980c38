#pragma once
// Encrypted records on a byte stream, after the handshake: u32 big-endian length, then that many bytes (17 to 65535) of
// ciphertext. The plaintext is a type byte and a body; the associated data is empty; each direction has its own key and
// counter, so that a record which is changed, repeated, left out or out of order does not decrypt.
//
// Keys are renewed in step (Noise revision 34, section 11.3): after `maxRecords` records or `maxAge`, the sender sends
// a record of type REKEY and both ends move on. The receiver refuses a key that is used for longer. Any fault poisons
// the channel for good. Owned by a session; pure: bytes and time come in.
#include <kj/array.h>
#include <kj/function.h>
#include <kj/one-of.h>
#include <kj/time.h>

#include "daemons/dsoftbusd/noise/noise-cipher.h"

namespace nexus {

constexpr uint8_t RECORD_TYPE_REKEY = 0;  // this layer's own, never delivered; all other types are the caller's
constexpr size_t RECORD_HEADER_BYTES = 4;
constexpr size_t RECORD_MIN_CIPHERTEXT = 1 + NOISE_TAG_BYTES;
constexpr size_t RECORD_MAX_CIPHERTEXT = NOISE_MAX_MESSAGE;
constexpr size_t RECORD_MAX_BODY = RECORD_MAX_CIPHERTEXT - RECORD_MIN_CIPHERTEXT;  // 65518

constexpr size_t RECORD_MAX_HEAD = 63;  // of a body that is given or looked at in two parts

struct RecordLimits {
  uint64_t maxRecords = 1 << 16;           // under one key, the REKEY record included; the same at both ends
  kj::Duration maxAge = 10 * kj::MINUTES;  // of a sending key
};

struct Record {
  uint8_t type;
  kj::ArrayPtr<const kj::byte> body;  // valid until the receiver is used again, or for as long as `memory`
  kj::Array<kj::byte> memory;         // of a large record: where the body lies, the caller's to keep
  bool placed = false;                // the body is where a RecordPlace said, without the bytes that this was shown
};

// Of an authentic record: its type, the first bytes of its body, and how many follow. Says where these go, and that the
// record is taken: they are there before anything else happens. An empty place takes nothing.
using RecordPlace =
    kj::Function<kj::ArrayPtr<kj::byte>(uint8_t type, kj::ArrayPtr<const kj::byte> head, size_t following)>;

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
  kj::Maybe<kj::Array<kj::byte>> trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> body, kj::TimePoint now) {
    return trySeal(type, nullptr, body, now);
  }

  // The body is `head`, at most RECORD_MAX_HEAD bytes, and then `rest`: a caller that adds a header need not copy what
  // it adds it to.
  kj::Maybe<kj::Array<kj::byte>> trySeal(uint8_t type, kj::ArrayPtr<const kj::byte> head,
                                         kj::ArrayPtr<const kj::byte> rest, kj::TimePoint now);

  // The same to a place of exactly that size. False when the counter is at its end: the session must end.
  size_t sealedSize(size_t body, kj::TimePoint now) const;
  bool trySealTo(kj::ArrayPtr<kj::byte> out, uint8_t type, kj::ArrayPtr<const kj::byte> head,
                 kj::ArrayPtr<const kj::byte> rest, kj::TimePoint now);

  uint64_t recordCount() const { return records; }  // including REKEY records
  uint64_t rekeyCount() const { return rekeys; }

 private:
  NoiseCipher cipher;
  RecordLimits limits;
  kj::TimePoint keySince;
  uint64_t underKey = 0, records = 0, rekeys = 0;

  bool mustRenew(kj::TimePoint now) const;
  bool putRecord(kj::ArrayPtr<kj::byte> out, uint8_t type, kj::ArrayPtr<const kj::byte> head,
                 kj::ArrayPtr<const kj::byte> rest);
};

class RecordReceiver {
 public:
  explicit RecordReceiver(NoiseCipher cipher, const RecordLimits& limits = {});

  // Where the next bytes of the stream go, at least one; then tell how many came. Call next() until it is null before
  // the next space(): then at most one incomplete record is kept. The space is small while only small records come, and
  // never more than RECEIVE_LARGE.
  kj::ArrayPtr<kj::byte> space();
  void received(size_t bytes);

  // The same for bytes that are somewhere else, however they are cut and however many.
  void feed(kj::ArrayPtr<const kj::byte> bytes);

  // Large records are decrypted to where `place` says, if it does: it is shown `headBytes` of the body, at most
  // RECORD_MAX_HEAD.
  void placeWith(size_t headBytes, RecordPlace place);

  // The next whole record, a fault, or null when more bytes are needed. After a fault every call answers POISONED.
  kj::Maybe<kj::OneOf<Record, RecordError>> next();

  uint64_t recordCount() const { return records; }  // including REKEY records
  uint64_t rekeyCount() const { return rekeys; }
  bool isPoisoned() const { return poisoned; }

  // Bytes of an incomplete record; at the end of the stream anything but 0 is a truncation.
  size_t pendingBytes() const { return end - begin; }

  // Bytes of ciphertext from which a record is placed, or else decrypted to memory of its own.
  static constexpr size_t OWN_MEMORY = 4096;
  static constexpr size_t RECEIVE_SMALL = 4096, RECEIVE_LARGE = 4 * (32768 + 25);  // bytes of space; 4 full DATA
  size_t capacity() const { return buffer.size(); }

 private:
  NoiseCipher cipher;
  RecordLimits limits;
  kj::Array<kj::byte> buffer;
  size_t begin = 0, end = 0;  // of what has come and was not taken
  bool filled = false;        // the last space was used up: more waits in the stream
  uint64_t underKey = 0, records = 0, rekeys = 0;
  bool poisoned = false;
  size_t headBytes = 0;
  kj::Maybe<RecordPlace> place;

  kj::OneOf<Record, RecordError> openRecord(kj::ArrayPtr<kj::byte> sealed);
  Record openLarge(const VerifiedMessage& message);
  RecordError poison(RecordError error);
  void makeRoom(size_t wanted);
};

}  // namespace nexus
