#include "daemons/dsoftbusd/remote/image-transfer.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>
#include <kj/vector.h>

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

Bytes joined(kj::ArrayPtr<const kj::byte> a, kj::ArrayPtr<const kj::byte> b) {
  kj::Vector<kj::byte> all;
  all.addAll(a), all.addAll(b);
  return all.releaseAsArray();
}

const auto IMAGE = "an image of a node's bundles"_kj.asBytes();

// What a receiver makes of a transfer in pieces of that many bytes.
struct Outcome {
  kj::Maybe<ImageFault> fault;
  kj::Vector<kj::byte> image;
};
Outcome received(kj::ArrayPtr<const kj::byte> transfer, size_t piece) {
  Outcome outcome;
  ImageReceiver receiver;
  while (transfer.size() > 0) {
    auto part = transfer.slice(0, kj::min(piece, transfer.size()));
    outcome.fault = receiver.take(part, [&](kj::ArrayPtr<const kj::byte> bytes) { outcome.image.addAll(bytes); });
    if (outcome.fault != nullptr) return outcome;
    transfer = transfer.slice(part.size(), transfer.size());
  }
  outcome.fault = receiver.finish();
  return outcome;
}

kj::Maybe<ImageFault> faultOf(kj::ArrayPtr<const kj::byte> transfer) {
  return received(transfer, transfer.size()).fault;
}

TEST_CASE("the header of an image of three bytes is these 48 bytes") {
  auto header = encodeImageHeader(ImageStatus::OK, "abc"_kj.asBytes());
  CHECK(kj::encodeHex(header) ==
        "4e584954010000000300000000000000ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(kj::encodeHex(encodeImageHeader(ImageStatus::BUSY, nullptr)) == kj::str("4e5849540101", kj::repeat('0', 84)));
}

TEST_CASE("a whole transfer is taken in pieces of any size") {
  auto transfer = joined(encodeImageHeader(ImageStatus::OK, IMAGE), IMAGE);
  for (size_t piece = 1; piece <= transfer.size(); piece++) {
    auto outcome = received(transfer, piece);
    CHECK(outcome.fault == nullptr);
    CHECK(outcome.image.asPtr() == IMAGE);
  }
  CHECK(faultOf(encodeImageHeader(ImageStatus::OK, nullptr)) == nullptr);  // an empty image is one
}

TEST_CASE("every truncation is too short, one byte more is too long and not handed on") {
  auto transfer = joined(encodeImageHeader(ImageStatus::OK, IMAGE), IMAGE);
  for (size_t size = 0; size < transfer.size(); size++)
    CHECK(faultOf(transfer.slice(0, size)) == ImageFault::TOO_SHORT);
  auto longer = joined(transfer, "x"_kj.asBytes());
  CHECK(faultOf(longer) == ImageFault::TOO_LONG);
  auto late = received(longer, transfer.size());
  CHECK(late.fault == ImageFault::TOO_LONG);
  CHECK(late.image.asPtr() == IMAGE);
}

TEST_CASE("a changed byte of the image or of the hash is a wrong hash") {
  auto transfer = joined(encodeImageHeader(ImageStatus::OK, IMAGE), IMAGE);
  for (size_t i = 16; i < transfer.size(); i++) {
    auto bad = kj::heapArray(transfer.asPtr());
    bad[i] ^= 1;
    CHECK(faultOf(bad) == ImageFault::WRONG_HASH);
  }
}

TEST_CASE("a header of another kind, version or status is no image transfer, and refusals are told apart") {
  auto header = encodeImageHeader(ImageStatus::OK, nullptr);
  for (size_t i : {0, 1, 2, 3, 4}) {
    auto bad = kj::heapArray(header.asPtr());
    bad[i] ^= 1;
    CHECK(faultOf(bad) == ImageFault::MALFORMED);
  }
  for (int status = 3; status < 256; status++) {
    auto bad = kj::heapArray(header.asPtr());
    bad[5] = status;
    CHECK(faultOf(bad) == ImageFault::MALFORMED);
  }
  CHECK(faultOf(encodeImageHeader(ImageStatus::BUSY, nullptr)) == ImageFault::BUSY);
  CHECK(faultOf(encodeImageHeader(ImageStatus::FAILED, nullptr)) == ImageFault::FAILED);
}

TEST_CASE("more than 16 MiB is refused when it is announced") {
  auto header = encodeImageHeader(ImageStatus::OK, nullptr);
  header[11] = 1;  // 16 MiB
  CHECK(faultOf(header) == ImageFault::TOO_SHORT);
  header[8] = 1;
  CHECK(faultOf(header) == ImageFault::TOO_LARGE);
  header[15] = 0xff;
  CHECK(faultOf(header) == ImageFault::TOO_LARGE);
}

}  // namespace
}  // namespace nexus
