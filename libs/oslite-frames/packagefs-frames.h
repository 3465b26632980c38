#pragma once
// PK v1: files of the bundle store, read by another node. One decoder and one encoder per frame; pure bytes.
//
//   op  request                                   OK reply
//   1   STAT   path len16 (1..192), path          15 bytes: status, size u64, kind u16
//   2   OPEN   path len16 (1..192), path          9 bytes: status, handle u32
//   3   READ   handle u32, offset u32, len u16    7 + n bytes: status, n u16 (0..128), data
//   4   CLOSE  handle u32                         5 bytes: status
//
// Requests are exactly as long as their fields say. A reply that is not OK is written as 5 bytes; a client takes longer
// ones too and reads their status alone, because other servers keep the length of the OK reply. The views in decoded
// frames point into the frame.
#include <kj/array.h>
#include <kj/one-of.h>

#include <cstdint>

namespace nexus::pk {

constexpr size_t MAX_FRAME_BYTES = 512;
constexpr size_t MAX_PATH_BYTES = 192;  // with its prefix
constexpr size_t MAX_READ_BYTES = 128;
constexpr size_t MAX_OPEN_HANDLES = 8;    // of one session
constexpr size_t MAX_FILE_BYTES = 16384;  // of a file that is served
constexpr size_t FAULT_REPLY_BYTES = 5;
constexpr uint16_t KIND_FILE = 0;  // the only kind that can be opened
constexpr uint16_t KIND_FOLDER = 1;

enum class Op : uint8_t { STAT = 1, OPEN = 2, READ = 3, CLOSE = 4 };

enum class Status : uint8_t {
  OK = 0,
  BAD_REQUEST = 1,
  UNAUTHENTICATED = 2,
  PATH_TRAVERSAL = 3,
  NON_PACKAGEFS_SCHEME = 4,
  NOT_FOUND = 5,
  BADF = 6,  // no such handle in this session
  OVERSIZED = 7,
  LIMIT = 8,
  IO = 9,
};

// A path that passed every rule: "pkg:/a/b" or "/packages/a/b", and the part that names the file, "a/b".
struct Path {
  kj::ArrayPtr<const char> whole;
  kj::ArrayPtr<const char> relative;
};

// The rules of a path, in this order: empty or longer than 192 bytes, OVERSIZED; not UTF-8, BAD_REQUEST; neither
// "pkg:/" nor "/packages/" in front, NON_PACKAGEFS_SCHEME; nothing behind it, OVERSIZED; a segment that is empty, ".",
// ".." or holds a backslash or NUL, PATH_TRAVERSAL.
kj::OneOf<Path, Status> checkPath(kj::ArrayPtr<const char> path);

struct Stat {
  Path path;
};
struct Open {
  Path path;
};
struct Read {
  uint32_t handle;
  uint32_t offset;
  uint16_t length;  // 1..128
};
struct Close {
  uint32_t handle;
};

// A request that is answered with a bare status: the op byte of the reply, bit 7 included, and the status.
struct Fault {
  uint8_t replyOp;
  Status status;
};

// Requests, the serving side
// -----------------------------------------------------------------------------------------------------

// Faults in the order in which they are tested: not authenticated (UNAUTHENTICATED); shorter than 4 bytes, other magic
// or version (BAD_REQUEST); unknown op (BAD_REQUEST); then the fields: a path by checkPath() with a wrong total length
// (BAD_REQUEST) told after the length field, a READ of 0 or more than 128 bytes (OVERSIZED), any other size
// (BAD_REQUEST). The op is echoed when the header can be read, otherwise the op byte is 0x80.
using Request = kj::OneOf<Stat, Open, Read, Close, Fault>;
Request decodeRequest(bool authenticated, kj::ArrayPtr<const kj::byte> frame);

kj::Array<kj::byte> encodeFault(const Fault& fault);
// status: not OK, but for CLOSE.
kj::Array<kj::byte> encodeStatus(Op op, Status status);
kj::Array<kj::byte> encodeStatReply(uint64_t size, uint16_t kind);
kj::Array<kj::byte> encodeOpenReply(uint32_t handle);
// Carries the first 128 bytes of what is longer.
kj::Array<kj::byte> encodeReadReply(kj::ArrayPtr<const kj::byte> data);

// Requests, the asking side
// ------------------------------------------------------------------------------------------------------

// Null when the path is empty or longer than 192 bytes. Any other path is the server's to judge.
kj::Maybe<kj::Array<kj::byte>> tryEncodeStat(kj::ArrayPtr<const char> path);
kj::Maybe<kj::Array<kj::byte>> tryEncodeOpen(kj::ArrayPtr<const char> path);
// Null when length is not 1..128.
kj::Maybe<kj::Array<kj::byte>> tryEncodeRead(uint32_t handle, uint32_t offset, uint16_t length);
kj::Array<kj::byte> encodeClose(uint32_t handle);

// Null on any fault: other magic, version, op, unknown status, or an OK reply of another length. When the status is not
// OK the other members are zero, whatever follows the status.
struct StatReply {
  Status status;
  uint64_t size;
  uint16_t kind;
};
kj::Maybe<StatReply> decodeStatReply(kj::ArrayPtr<const kj::byte> frame);

struct OpenReply {
  Status status;
  uint32_t handle;
};
kj::Maybe<OpenReply> decodeOpenReply(kj::ArrayPtr<const kj::byte> frame);

struct ReadReply {
  Status status;
  kj::ArrayPtr<const kj::byte> data;  // at most 128 bytes; empty at and past the end of the file
};
kj::Maybe<ReadReply> decodeReadReply(kj::ArrayPtr<const kj::byte> frame);

kj::Maybe<Status> decodeCloseReply(kj::ArrayPtr<const kj::byte> frame);

}  // namespace nexus::pk
