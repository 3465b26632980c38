#include "daemons/dsoftbusd/remote/image-fetch.h"

#include <kj/debug.h>
#include <kj/encoding.h>

namespace nexus {

namespace {

using Result = kj::OneOf<FetchedImage, ImageFault>;
using Read = kj::OneOf<size_t, ImageFault>;

kj::Maybe<ImageFault> keeping(kj::FunctionParam<void()> store) {
  auto failure = kj::runCatchingExceptions([&] { store(); });
  KJ_IF_MAYBE (exception, failure) {
    KJ_LOG(WARNING, "an image could not be stored", exception->getDescription());
    return ImageFault::NOT_KEPT;
  }
  return nullptr;
}

kj::Promise<Read> readSome(kj::AsyncInputStream& stream, kj::ArrayPtr<kj::byte> buffer, kj::Timer& timer,
                           kj::TimePoint deadline, ImageFetchLimits limits) {
  auto stalled = timer.now() + limits.stall;
  auto late = timer.atTime(kj::min(stalled, deadline)).then([stalled, deadline]() -> Read {
    return stalled < deadline ? ImageFault::STALLED : ImageFault::TOO_SLOW;
  });
  return kj::evalNow([&] { return stream.tryRead(buffer.begin(), 1, buffer.size()); })
      .then([](size_t n) -> Read { return n; }, [](kj::Exception&&) -> Read { return ImageFault::LOST; })
      .exclusiveJoin(kj::mv(late));
}

}  // namespace

kj::Promise<Result> fetchImage(kj::Own<kj::AsyncInputStream> stream, ImageSink& sink, kj::Timer& timer,
                               ImageFetchLimits limits) {
  ImageReceiver receiver;
  auto buffer = kj::heapArray<kj::byte>(IMAGE_READ_BYTES);
  auto deadline = timer.now() + limits.whole;
  for (;;) {
    auto read = co_await readSome(*stream, buffer, timer, deadline, limits);
    KJ_IF_MAYBE (fault, read.tryGet<ImageFault>()) co_return *fault;
    size_t n = read.get<size_t>();
    if (n == 0) break;
    kj::Maybe<ImageFault> wrong;
    auto unkept = keeping([&] {
      wrong = receiver.take(buffer.slice(0, n), [&](kj::ArrayPtr<const kj::byte> bytes) { sink.write(bytes); });
    });
    if (unkept != nullptr) wrong = unkept;
    KJ_IF_MAYBE (fault, wrong) co_return *fault;
  }
  KJ_IF_MAYBE (fault, receiver.finish()) co_return *fault;
  KJ_IF_MAYBE (fault, keeping([&] { sink.commit(); })) co_return *fault;
  co_return FetchedImage{receiver.received(), kj::encodeHex(receiver.sha256())};
}

}  // namespace nexus
