#include "daemons/dsoftbusd/remote/image-fetch.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Result = kj::OneOf<FetchedImage, ImageFault>;

class KeepingSink final : public ImageSink {
 public:
  void write(kj::ArrayPtr<const kj::byte> bytes) override {
    if (full) KJ_FAIL_REQUIRE("no space left");
    kept.addAll(bytes);
    largest = kj::max(largest, bytes.size());
  }
  void commit() override { committed = true; }

  kj::Vector<kj::byte> kept;
  size_t largest = 0;
  bool committed = false, full = false;
};

// The peer's end is written by the test.
struct Fixture {
  SimClock sim;
  kj::OneWayPipe pipe = kj::newOneWayPipe();
  KeepingSink sink;
  kj::Promise<Result> fetching = fetchImage(kj::mv(pipe.in), sink, sim.timer).eagerlyEvaluate(nullptr);

  void send(kj::ArrayPtr<const kj::byte> bytes) { sim.run(pipe.out->write(bytes.begin(), bytes.size())); }
  void sendHeader(kj::ArrayPtr<const kj::byte> image) { send(encodeImageHeader(ImageStatus::OK, image)); }
  ImageFault mustFail() {
    auto result = sim.run(kj::mv(fetching));
    REQUIRE(result.is<ImageFault>());
    CHECK_FALSE(sink.committed);
    return result.get<ImageFault>();
  }
};

const auto IMAGE = "an image of a node's bundles"_kj.asBytes();

TEST_CASE("an image of many chunks arrives whole and is committed once its hash was found right") {
  Fixture f;
  auto image = kj::heapArray<kj::byte>(3 * 1024 * 1024 + 7);
  for (auto i : kj::indices(image)) image[i] = i * 31 + (i >> 11);
  f.sendHeader(image);
  f.send(image);
  CHECK_FALSE(f.sink.committed);
  f.pipe.out = nullptr;
  auto result = f.sim.run(kj::mv(f.fetching));
  REQUIRE(result.is<FetchedImage>());
  CHECK(result.get<FetchedImage>().bytes == image.size());
  CHECK(result.get<FetchedImage>().sha256.size() == 64);
  CHECK(f.sink.committed);
  CHECK((f.sink.kept.asPtr() == image.asPtr()));
  CHECK(f.sink.largest <= IMAGE_READ_BYTES);
}

TEST_CASE("a sender that ends too early leaves nothing") {
  Fixture f;
  f.sendHeader(IMAGE);
  f.send(IMAGE.slice(0, 5));
  f.pipe.out = nullptr;
  CHECK(f.mustFail() == ImageFault::TOO_SHORT);
}

TEST_CASE("a sender that goes on behind the announced end leaves nothing") {
  Fixture f;
  f.sendHeader(IMAGE);
  f.send(IMAGE);
  f.send("x"_kj.asBytes());
  CHECK(f.mustFail() == ImageFault::TOO_LONG);
}

TEST_CASE("a sender of other bytes than it announced leaves nothing") {
  Fixture f;
  f.sendHeader(IMAGE);
  auto other = kj::heapArray(IMAGE);
  other[3] ^= 0x20;
  f.send(other);
  f.pipe.out = nullptr;
  CHECK(f.mustFail() == ImageFault::WRONG_HASH);
}

TEST_CASE("a sender that stops is given up after ten seconds, also when it never begins") {
  for (bool begins : {false, true}) {
    Fixture f;
    if (begins) f.sendHeader(IMAGE);
    auto before = f.sim.timer.now();
    CHECK(f.mustFail() == ImageFault::STALLED);
    CHECK(f.sim.timer.now() - before == 10 * kj::SECONDS);
  }
}

TEST_CASE("a sender that drips bytes is given up after two minutes") {
  Fixture f;
  auto image = kj::heapArray<kj::byte>(1000);
  memset(image.begin(), 7, image.size());
  f.sendHeader(image);
  for (int i = 0; i < 13; i++) {
    f.send(image.slice(0, 1));
    f.sim.advance(9 * kj::SECONDS);
  }
  f.send(image.slice(0, 1));
  auto before = f.sim.timer.now();
  CHECK(f.mustFail() == ImageFault::TOO_SLOW);
  CHECK(f.sim.timer.now() - before == 3 * kj::SECONDS);
}

TEST_CASE("a refusal is told as what it is") {
  for (auto status : {ImageStatus::BUSY, ImageStatus::FAILED}) {
    Fixture f;
    f.send(encodeImageHeader(status, nullptr));
    CHECK(f.mustFail() == (status == ImageStatus::BUSY ? ImageFault::BUSY : ImageFault::FAILED));
  }
}

TEST_CASE("a stream that is lost and a sink that takes no more are failures of their own") {
  class Broken final : public kj::AsyncInputStream {
   public:
    kj::Promise<size_t> tryRead(void*, size_t, size_t) override { return KJ_EXCEPTION(DISCONNECTED, "reset"); }
  };
  Fixture f;
  KeepingSink sink;
  auto lost = f.sim.run(fetchImage(kj::heap<Broken>(), sink, f.sim.timer));
  CHECK(lost.get<ImageFault>() == ImageFault::LOST);
  f.sink.full = true;
  f.sendHeader(IMAGE);
  f.send(IMAGE);
  CHECK(f.mustFail() == ImageFault::NOT_KEPT);
}

TEST_CASE("dropping the promise ends the transfer without a commit") {
  Fixture f;
  f.sendHeader(IMAGE);
  f.send(IMAGE);
  f.fetching = nullptr;
  f.pipe.out = nullptr;
  f.sim.advance(1 * kj::SECONDS);
  CHECK_FALSE(f.sink.committed);
}

}  // namespace
}  // namespace nexus
