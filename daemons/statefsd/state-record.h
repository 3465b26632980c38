#pragma once
// The file of one key: what is in it and what it is called. Pure bytes. Little-endian:
//
//   0   4  "NXSR"
//   4   1  version 1
//   5   2  key length, 1..255
//   7   4  value length, 0..65536
//   11  ..  key, value
//   end 32 SHA-256 of everything before
//
// The file is named by the SHA-256 of its key, so that any key has a plain name of one length, and a record under
// another key's name is noticed.
#include <kj/array.h>
#include <kj/string.h>

namespace nexus {

constexpr size_t MAX_RECORD_BYTES = 11 + 255 + 65536 + 32;

// 64 hexadecimal digits.
kj::String recordName(kj::ArrayPtr<const char> key);
bool isRecordName(kj::StringPtr name);

kj::Array<kj::byte> encodeRecord(kj::ArrayPtr<const char> key, kj::ArrayPtr<const kj::byte> value);

struct StateRecord {
  kj::ArrayPtr<const char> key;  // into the bytes it was decoded from
  kj::ArrayPtr<const kj::byte> value;
};
// Null when anything is wrong: length, magic, version, hash.
kj::Maybe<StateRecord> decodeRecord(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace nexus
