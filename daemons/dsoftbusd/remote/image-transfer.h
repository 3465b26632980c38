#pragma once
// The bundle image of a node as bytes on a stream: the header, and what a receiver makes of what arrives. One parser,
// one encoder; pure. A peer writes these bytes: nothing is taken that was not announced, and nothing counts before its
// hash was seen to be right.
//
//   0   4   "NXIT"
//   4   1   version 1
//   5   1   status: 0 OK, 1 busy (as many transfers as the node serves are under way), 2 failed (there is no image)
//   6   2   zero, ignored
//   8   8   bytes of the image, little-endian; at most 16 MiB, 0 unless OK
//   16  32  SHA-256 of the image
//   48  ..  the image, then the end of the stream
#include <kj/array.h>
#include <kj/function.h>
#include <kj/string.h>
#include <sodium.h>

namespace nexus {

constexpr size_t IMAGE_HEADER_BYTES = 48;
constexpr uint64_t MAX_IMAGE_BYTES = 16 * 1024 * 1024;
constexpr size_t SHA256_BYTES = 32;

enum class ImageStatus : kj::byte { OK = 0, BUSY = 1, FAILED = 2 };

// image: empty unless OK; at most MAX_IMAGE_BYTES.
kj::Array<kj::byte> encodeImageHeader(ImageStatus status, kj::ArrayPtr<const kj::byte> image);

// Why no image came of a transfer.
enum class ImageFault {
  MALFORMED,   // no header of this version
  BUSY,        // the peer serves as many as it wants to
  FAILED,      // the peer has no image to give
  TOO_LARGE,   // announces more than 16 MiB
  TOO_LONG,    // more bytes than were announced
  TOO_SHORT,   // the end came before them
  WRONG_HASH,  // all bytes, and not those
  LOST,        // the stream was reset, or the session ended
  STALLED,     // nothing came for too long
  TOO_SLOW,    // bytes came, but the whole takes too long
  NOT_KEPT,    // this node could not store it
};

// One clause for people.
kj::StringPtr imageFaultText(ImageFault fault);

class ImageReceiver {
 public:
  ImageReceiver();
  ~ImageReceiver() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ImageReceiver);

  // The next bytes of the stream, any number of them; those of the image are handed on in order. After a fault nothing
  // more may be fed.
  kj::Maybe<ImageFault> take(kj::ArrayPtr<const kj::byte> bytes,
                             kj::FunctionParam<void(kj::ArrayPtr<const kj::byte>)> image);

  // The stream has ended. Null: the image is whole and its hash is the announced one.
  kj::Maybe<ImageFault> finish();

  bool hasHeader() const { return headerBytes == IMAGE_HEADER_BYTES; }
  uint64_t announced() const { return size; }
  uint64_t received() const { return arrived; }
  kj::ArrayPtr<const kj::byte> sha256() const { return hash; }  // the announced one

 private:
  kj::byte header[IMAGE_HEADER_BYTES];
  size_t headerBytes = 0;
  uint64_t size = 0, arrived = 0;
  kj::byte hash[SHA256_BYTES];
  crypto_hash_sha256_state digest;

  kj::Maybe<ImageFault> readHeader();
};

}  // namespace nexus
