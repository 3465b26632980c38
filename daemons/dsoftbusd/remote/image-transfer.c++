#include "daemons/dsoftbusd/remote/image-transfer.h"

#include <kj/debug.h>
#include <string.h>

namespace nexus {

namespace {

constexpr kj::byte MAGIC[] = {'N', 'X', 'I', 'T'};
constexpr kj::byte VERSION = 1;
constexpr size_t VERSION_AT = 4, STATUS_AT = 5, SIZE_AT = 8, HASH_AT = 16;
static_assert(SHA256_BYTES == crypto_hash_sha256_BYTES && HASH_AT + SHA256_BYTES == IMAGE_HEADER_BYTES);

uint64_t littleEndian(const kj::byte* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

kj::Array<kj::byte> encodeImageHeader(ImageStatus status, kj::ArrayPtr<const kj::byte> image) {
  KJ_REQUIRE(image.size() <= MAX_IMAGE_BYTES, "the image is too large", image.size());
  KJ_REQUIRE(status == ImageStatus::OK || image.size() == 0, "an image beside a failure");
  auto header = kj::heapArray<kj::byte>(IMAGE_HEADER_BYTES);
  memset(header.begin(), 0, header.size());
  memcpy(header.begin(), MAGIC, sizeof(MAGIC));
  header[VERSION_AT] = VERSION;
  header[STATUS_AT] = kj::byte(status);
  for (size_t i = 0; i < 8; i++) header[SIZE_AT + i] = uint64_t(image.size()) >> 8 * i;
  if (status == ImageStatus::OK) crypto_hash_sha256(header.begin() + HASH_AT, image.begin(), image.size());
  return header;
}

kj::StringPtr imageFaultText(ImageFault fault) {
  switch (fault) {
    case ImageFault::MALFORMED:
      return "what arrived does not begin like an image transfer"_kj;
    case ImageFault::BUSY:
      return "the peer has as many transfers under way as it serves; try again later"_kj;
    case ImageFault::FAILED:
      return "the peer's bundlemgrd has no image to give: it is not running, or its store exceeds a bound"_kj;
    case ImageFault::TOO_LARGE:
      return "the peer announces an image of more than 16 MiB"_kj;
    case ImageFault::TOO_LONG:
      return "more bytes arrived than the peer had announced"_kj;
    case ImageFault::TOO_SHORT:
      return "the transfer ended before the bytes that the peer had announced"_kj;
    case ImageFault::WRONG_HASH:
      return "the bytes that arrived are not those whose hash the peer announced"_kj;
    case ImageFault::LOST:
      return "the stream was reset or the session ended before the whole image had arrived"_kj;
    case ImageFault::STALLED:
      return "the peer stopped sending"_kj;
    case ImageFault::TOO_SLOW:
      return "the transfer takes too long"_kj;
    case ImageFault::NOT_KEPT:
      return "the image could not be stored here"_kj;
  }
  KJ_UNREACHABLE;
}

ImageReceiver::ImageReceiver() {
  crypto_hash_sha256_init(&digest);
}

ImageReceiver::~ImageReceiver() noexcept(false) = default;

kj::Maybe<ImageFault> ImageReceiver::take(kj::ArrayPtr<const kj::byte> bytes,
                                          kj::FunctionParam<void(kj::ArrayPtr<const kj::byte>)> image) {
  if (!hasHeader()) {
    auto part = bytes.slice(0, kj::min(bytes.size(), IMAGE_HEADER_BYTES - headerBytes));
    memcpy(header + headerBytes, part.begin(), part.size());
    headerBytes += part.size();
    if (!hasHeader()) return nullptr;
    KJ_IF_MAYBE (fault, readHeader()) return *fault;
    bytes = bytes.slice(part.size(), bytes.size());
  }
  if (bytes.size() > size - arrived) return ImageFault::TOO_LONG;
  if (bytes.size() == 0) return nullptr;
  crypto_hash_sha256_update(&digest, bytes.begin(), bytes.size());
  arrived += bytes.size();
  image(bytes);
  return nullptr;
}

kj::Maybe<ImageFault> ImageReceiver::readHeader() {
  if (memcmp(header, MAGIC, sizeof(MAGIC)) != 0 || header[VERSION_AT] != VERSION) return ImageFault::MALFORMED;
  if (header[STATUS_AT] == kj::byte(ImageStatus::BUSY)) return ImageFault::BUSY;
  if (header[STATUS_AT] == kj::byte(ImageStatus::FAILED)) return ImageFault::FAILED;
  if (header[STATUS_AT] != kj::byte(ImageStatus::OK)) return ImageFault::MALFORMED;
  size = littleEndian(header + SIZE_AT);
  if (size > MAX_IMAGE_BYTES) return ImageFault::TOO_LARGE;
  memcpy(hash, header + HASH_AT, SHA256_BYTES);
  return nullptr;
}

kj::Maybe<ImageFault> ImageReceiver::finish() {
  if (!hasHeader() || arrived < size) return ImageFault::TOO_SHORT;
  kj::byte actual[SHA256_BYTES];
  crypto_hash_sha256_final(&digest, actual);
  if (memcmp(actual, hash, SHA256_BYTES) != 0) return ImageFault::WRONG_HASH;
  return nullptr;
}

}  // namespace nexus
