#pragma once
// BN v1: the frames that bundlemgrd answers. One decoder and one encoder per frame; pure bytes.
//
//   op  request                                  reply
//   1   LIST          nothing                    8 bytes: status, count u16
//   2   ROUTE_STATUS  n u8 (1..48), name         8 bytes: status, route status
//   3   FETCH_IMAGE   nothing                    9 bytes: status, length u32; then the NXBI image (bundle-image.h)
//   16  QUERY         n u8 (1..48), name         7 bytes: status, installed u8, n u8; then the version, n bytes
//
// QUERY is ours: the other implementations of BN know no such op and use others up to 6 and 127. installed is the
// number of versions of that bundle, 255 for more; the version is the last of them in the order of their bytes, empty
// when there is none.
//
// Requests are exactly as long as their fields say; a fault is answered with 8 bytes. Reserved bytes are written as
// zero and ignored when read. The views in decoded frames point into the frame. Statuses are numbered differently from
// SM's: the two are never mixed.
#include <kj/array.h>
#include <kj/one-of.h>

#include <cstdint>

namespace nexus::bn {

constexpr size_t MAX_FRAME_BYTES = 512;  // of a request; a FETCH_IMAGE reply may be longer
constexpr size_t MAX_NAME_BYTES = 48;
constexpr size_t REPLY_BYTES = 8;

enum class Op : uint8_t { LIST = 1, ROUTE_STATUS = 2, FETCH_IMAGE = 3, QUERY = 16 };

enum class Status : uint8_t { OK = 0, MALFORMED = 1, UNSUPPORTED = 2 };

// What a router says about a name. 2 is its "malformed", and what is answered when no router was there to be asked.
enum class RouteStatus : uint8_t { OK = 0, NOT_FOUND = 1, NO_ANSWER = 2, DENIED = 3 };

using Name = kj::ArrayPtr<const char>;

struct List {};
struct Route {
  Name name;
};
struct FetchImage {};
struct Query {
  Name name;
};

// A request that is answered with a bare status: the op byte of the reply, bit 7 included, and the status.
struct Fault {
  uint8_t replyOp;
  Status status;
};

// Requests, the serving side
// -----------------------------------------------------------------------------------------------------

// Faults in the order in which they are tested: shorter than 4 bytes or wrong magic (op byte 0x81, MALFORMED); other
// version (op echoed, UNSUPPORTED); unknown op (op echoed, UNSUPPORTED); wrong size of a known op (op echoed,
// MALFORMED).
using Request = kj::OneOf<List, Route, FetchImage, Query, Fault>;
Request decodeRequest(kj::ArrayPtr<const kj::byte> frame);

kj::Array<kj::byte> encodeFault(const Fault& fault);
kj::Array<kj::byte> encodeFault(Op op, Status status);
kj::Array<kj::byte> encodeListReply(uint16_t count);
kj::Array<kj::byte> encodeRouteReply(RouteStatus route);
// image: less than 4 GiB.
kj::Array<kj::byte> encodeImageReply(kj::ArrayPtr<const kj::byte> image);
// version: at most 255 bytes, of which the caller makes sure.
kj::Array<kj::byte> encodeQueryReply(uint8_t installed, Name version);

// Requests, the asking side
// ------------------------------------------------------------------------------------------------------

kj::Array<kj::byte> encodeList();
// Null when the name is empty or longer than 48 bytes.
kj::Maybe<kj::Array<kj::byte>> tryEncodeRoute(Name name);
kj::Array<kj::byte> encodeFetchImage();
// Null when the name is empty or longer than 48 bytes.
kj::Maybe<kj::Array<kj::byte>> tryEncodeQuery(Name name);

// Null on any fault: other magic, version, op, length or an unknown status. A reply that is not OK is 8 bytes and
// carries nothing else.
struct ListReply {
  Status status;
  uint16_t count;
};
kj::Maybe<ListReply> decodeListReply(kj::ArrayPtr<const kj::byte> frame);

struct RouteReply {
  Status status;
  RouteStatus route;
};
kj::Maybe<RouteReply> decodeRouteReply(kj::ArrayPtr<const kj::byte> frame);

struct ImageReply {
  Status status;
  kj::ArrayPtr<const kj::byte> image;
};
kj::Maybe<ImageReply> decodeImageReply(kj::ArrayPtr<const kj::byte> frame);

struct QueryReply {
  Status status;
  uint8_t installed;
  Name version;
};
kj::Maybe<QueryReply> decodeQueryReply(kj::ArrayPtr<const kj::byte> frame);

// The 8-byte reply to a request whose header or op the server did not know: whatever op it names.
kj::Maybe<Fault> decodeFault(kj::ArrayPtr<const kj::byte> frame);

}  // namespace nexus::bn
