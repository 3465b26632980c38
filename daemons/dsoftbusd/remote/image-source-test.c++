#include "daemons/dsoftbusd/remote/image-source.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

struct Store {
  kj::String bundles = kj::str("first");
  size_t size = 0;  // not 0: an image of that many bytes instead
  kj::uint asked = 0, underWay = 0, mostUnderWay = 0;
  bool silent = false, fails = false;
};

class BundlemgrStandIn final : public idl::Bundlemgr::Server {
 public:
  BundlemgrStandIn(Store& store, kj::Timer& timer) : store(store), timer(timer) {}

  kj::Promise<void> fetchImage(FetchImageContext context) override {
    store.asked++;
    store.mostUnderWay = kj::max(store.mostUnderWay, ++store.underWay);
    KJ_DEFER(store.underWay--);
    KJ_REQUIRE(!store.fails, "the store exceeds a bound");
    if (store.silent) co_await kj::Promise<void>(kj::NEVER_DONE);
    co_await timer.afterDelay(1 * kj::SECONDS);
    if (store.size > 0) {
      context.getResults().initImage(store.size);
    } else {
      context.getResults().setImage(store.bundles.asBytes());
    }
  }

 private:
  Store& store;
  kj::Timer& timer;
};

struct Fixture {
  SimClock sim;
  Store store;
  ImageSource source{sim.timer,
                     [this]() -> idl::Bundlemgr::Client { return kj::heap<BundlemgrStandIn>(store, sim.timer); }};

  using Answer = ImageSource::Answer;
  kj::Promise<Answer> ask() { return source.image().eagerlyEvaluate(nullptr); }
  Answer get() { return sim.run(source.image()); }
};

kj::ArrayPtr<const kj::byte> bytesOf(ImageSource::Answer& answer) {
  return KJ_ASSERT_NONNULL(answer.image)->bytes();
}

TEST_CASE("four who ask at once hold one image, and bundlemgrd is asked one at a time") {
  Fixture f;
  kj::Vector<kj::Promise<ImageSource::Answer>> asking;
  for (int i = 0; i < 4; i++) asking.add(f.ask());
  kj::Vector<ImageSource::Answer> answers;
  for (auto& promise : asking) answers.add(f.sim.run(kj::mv(promise)));
  for (auto& answer : answers) {
    REQUIRE(answer.status == ImageStatus::OK);
    CHECK(bytesOf(answer) == "first"_kj.asBytes());
    CHECK(bytesOf(answer).begin() == bytesOf(answers[0]).begin());
  }
  CHECK(f.store.asked == 4);
  CHECK(f.store.mostUnderWay == 1);
  CHECK(f.source.imagesNow() == 1);
  answers.clear();
  CHECK(f.source.imagesNow() == 0);
}

TEST_CASE("who asks later gets what there is then; a third image that differs is busy until one is let go") {
  Fixture f;
  auto first = f.get();
  f.store.bundles = kj::str("second");
  auto second = f.get();
  CHECK(bytesOf(first) == "first"_kj.asBytes());
  CHECK(bytesOf(second) == "second"_kj.asBytes());
  CHECK(f.source.imagesNow() == ImageSource::MAX_IMAGES);
  f.store.bundles = kj::str("third");
  auto third = f.get();
  CHECK(third.status == ImageStatus::BUSY);
  CHECK(third.image == nullptr);
  CHECK(f.source.imagesNow() == 2);
  first.image = nullptr;
  CHECK(f.source.imagesNow() == 1);
  CHECK(bytesOf(second) == "second"_kj.asBytes());
  third = f.get();
  CHECK(bytesOf(third) == "third"_kj.asBytes());
  f.store.bundles = kj::str("second");
  auto again = f.get();
  CHECK(bytesOf(again).begin() == bytesOf(second).begin());
}

TEST_CASE("the header of a transfer has the size and the hash of the image") {
  Fixture f;
  auto answer = f.get();
  CHECK(KJ_ASSERT_NONNULL(answer.image)->header() == encodeImageHeader(ImageStatus::OK, "first"_kj.asBytes()));
}

TEST_CASE("an image at the bound is held, and compared as often as need be; one byte more is a failure") {
  Fixture f;
  f.store.size = MAX_IMAGE_BYTES;
  auto first = f.get();
  REQUIRE(first.status == ImageStatus::OK);
  for (int i = 0; i < 8; i++) CHECK(f.get().status == ImageStatus::OK);
  CHECK(f.source.imagesNow() == 1);
  f.store.size = MAX_IMAGE_BYTES + 1;
  CHECK(f.get().status == ImageStatus::FAILED);
}

TEST_CASE("a bundlemgrd that does not answer is a failure after ten seconds, for those behind as well") {
  Fixture f;
  f.store.silent = true;
  auto before = f.sim.timer.now();
  auto first = f.ask();
  auto second = f.ask();
  CHECK(f.sim.run(kj::mv(second)).status == ImageStatus::FAILED);
  CHECK(f.sim.timer.now() - before == ImageSource::BUILD);
  CHECK(f.sim.run(kj::mv(first)).status == ImageStatus::FAILED);
  f.store.silent = false;
  CHECK(f.get().status == ImageStatus::OK);
}

TEST_CASE("one that fails is a failure at once; who gives up lets the next one ask") {
  Fixture f;
  f.store.fails = true;
  CHECK(f.get().status == ImageStatus::FAILED);
  f.store.fails = false;
  auto first = f.ask();
  auto second = f.ask();
  f.sim.advance(500 * kj::MILLISECONDS);
  first = nullptr;
  CHECK(f.sim.run(kj::mv(second)).status == ImageStatus::OK);
}

}  // namespace
}  // namespace nexus
