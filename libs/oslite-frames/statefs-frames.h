#pragma once
// SF v1 and v2: the requests of a key-value store and their replies. One decoder and one encoder per frame; pure bytes.
// Version 2 is version 1 with a nonce of 8 bytes: behind the header of a request, behind the status of a reply.
//
//   op  request (after header and nonce)                        reply (after header, status and nonce)
//   1   PUT     key len16 (1..255), value len32, key, value     nothing
//   2   GET     key len16, key                                  value len32, value
//   3   DEL     key len16, key                                  nothing
//   4   LIST    prefix len16, limit u16, prefix                 count u16, then len16 and key, as many
//   5   SYNC    nothing                                         nothing
//   6   REOPEN  nothing                                         nothing
//
// Frames are exactly as long as their fields say. A reply echoes the version and the nonce of its request. A GET or
// LIST that is not OK carries a length or a count of 0, a fault of form nothing behind its status and nonce. Views in
// decoded frames point into the frame. Which keys a store takes is the store's to say, what a remote node may ask for
// is said in statefs-gate.h.
#include <kj/array.h>
#include <kj/one-of.h>

#include <cstdint>

namespace nexus::sf {

constexpr size_t MAX_KEY_BYTES = 255;
constexpr size_t MAX_VALUE_BYTES = 65536;
constexpr uint16_t MAX_LIST_LIMIT = 256;
constexpr size_t MAX_REQUEST_BYTES = 12 + 6 + MAX_KEY_BYTES + MAX_VALUE_BYTES;

enum class Op : uint8_t { PUT = 1, GET = 2, DEL = 3, LIST = 4, SYNC = 5, REOPEN = 6 };

enum class Status : uint8_t {
  OK = 0,
  NOT_FOUND = 1,
  ACCESS_DENIED = 2,
  VALUE_TOO_LARGE = 3,
  KEY_TOO_LONG = 4,
  INVALID_KEY = 5,
  MALFORMED = 6,
  IO_ERROR = 7,
  UNSUPPORTED = 8,
  INTEGRITY_VIOLATION = 9,
  ROLLBACK_DETECTED = 10,
};

using Key = kj::ArrayPtr<const char>;
using Value = kj::ArrayPtr<const kj::byte>;

// What ties a reply to its request: nothing in version 1, the nonce in version 2.
using Nonce = kj::Maybe<uint64_t>;

struct Put {
  Key key;
  Value value;
};
struct Get {
  Key key;
};
struct Del {
  Key key;
};
struct List {
  Key prefix;      // may be empty
  uint16_t limit;  // 1..256: 0 is read as 1, more as 256
};
struct Sync {};
struct Reopen {};

struct Request {
  Nonce nonce;
  kj::OneOf<Put, Get, Del, List, Sync, Reopen> body;
};

// A request that is answered with a bare status: the op byte of the reply, bit 7 included, the nonce if it had one.
struct Fault {
  uint8_t replyOp;
  Nonce nonce;
  Status status;
};

// The head of a request frame; null when it is cut, of other magic or of an unknown version. The op is not judged.
struct Head {
  uint8_t op;
  Nonce nonce;
};
kj::Maybe<Head> decodeHead(kj::ArrayPtr<const kj::byte> frame);

// Requests, the serving side
// -----------------------------------------------------------------------------------------------------

// Faults in the order in which they are tested: shorter than 4 bytes, other magic, a version that is not 1 or 2, or
// version 2 shorter than 12 bytes (MALFORMED under op byte 0x80, version 1); unknown op (UNSUPPORTED); then, of one
// request, a key of 0 bytes (MALFORMED), of more than 255 (KEY_TOO_LONG), a value of more than 65536
// (VALUE_TOO_LARGE), a total length that is not that of the fields (MALFORMED), a key that is not UTF-8 (INVALID_KEY).
kj::OneOf<Request, Fault> decodeRequest(kj::ArrayPtr<const kj::byte> frame);

kj::Array<kj::byte> encodeFault(const Fault& fault);
// PUT, DEL, SYNC and REOPEN with any status, the others when they are not OK.
kj::Array<kj::byte> encodeStatusReply(Op op, Nonce nonce, Status status);
// value: at most 65536 bytes.
kj::Array<kj::byte> encodeGetReply(Nonce nonce, Value value);
// Leaves out whole keys from the end until the frame has at most maxBytes. Keys are 1 to 255 bytes, at most 65535 of
// them; maxBytes must have room for an empty list.
kj::Array<kj::byte> encodeListReply(Nonce nonce, kj::ArrayPtr<const Key> keys, size_t maxBytes);

// Requests, the asking side
// ------------------------------------------------------------------------------------------------------

// Null when the key or the value exceeds its bounds. It must be UTF-8; that is the server's to judge.
kj::Maybe<kj::Array<kj::byte>> tryEncodeRequest(const Request& request);

struct Reply {
  Nonce nonce;
  Status status;
  Value value;          // of GET
  kj::Array<Key> keys;  // of LIST
};
// The reply to a request of that op, of either version. Null on any fault: other magic, version, op, length or an
// unknown status.
kj::Maybe<Reply> decodeReply(Op op, kj::ArrayPtr<const kj::byte> frame);

// Whether the reply belongs to a request with that nonce: the same version, and in version 2 an equal nonce.
bool correlates(const Nonce& asked, const Reply& reply);

// The same, and a reply of version 1 that is not OK answers any request: so does the gate of a remote node refuse
// (statefs-gate.h). To be used only where one request is under way.
bool answers(const Nonce& asked, const Reply& reply);

}  // namespace nexus::sf
