#include "daemons/dsoftbusd/remote/image-server.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/remote/image-transfer.h"

namespace nexus {

namespace {

// The write, or why it did not happen; null when it did.
kj::Promise<kj::Maybe<CallStatus>> writeBefore(kj::AsyncIoStream& stream, kj::ArrayPtr<const kj::byte> bytes,
                                               kj::Timer& timer, kj::TimePoint deadline) {
  auto late = timer.atTime(deadline).then([]() -> kj::Maybe<CallStatus> { return CallStatus::TIMED_OUT; });
  return kj::evalNow([&] { return stream.write(bytes.begin(), bytes.size()); })
      .then([]() -> kj::Maybe<CallStatus> { return nullptr; },
            [](kj::Exception&&) -> kj::Maybe<CallStatus> { return CallStatus::CANCELLED; })
      .exclusiveJoin(kj::mv(late));
}

}  // namespace

// A peer in the set for as long as it is served.
class ImageServer::Place {
 public:
  Place(ImageServer& server, kj::StringPtr peer) : server(server), peer(kj::str(peer)) {
    server.serving.insert(kj::str(peer));
  }
  ~Place() noexcept(false) { server.serving.eraseMatch(peer); }
  KJ_DISALLOW_COPY_AND_MOVE(Place);

 private:
  ImageServer& server;
  kj::String peer;
};

kj::Promise<CallStatus> ImageServer::serve(kj::StringPtr peer, kj::Own<kj::AsyncIoStream> stream) {
  if (serving.size() >= MAX_AT_ONCE || serving.contains(peer)) {
    auto header = encodeImageHeader(ImageStatus::BUSY, nullptr);
    co_await writeBefore(*stream, header, timer, timer.now() + STALL);
    co_return CallStatus::RATE_LIMITED;
  }
  Place place(*this, peer);
  auto status = co_await send(*stream);
  // What was not read stays unsent: a peer that does not read must not cost memory any longer.
  if (status == CallStatus::TIMED_OUT) stream->abortRead();
  co_return status;
}

kj::Promise<CallStatus> ImageServer::send(kj::AsyncIoStream& stream) {
  auto deadline = timer.now() + WHOLE;
  auto answer = co_await images.image();
  kj::Array<kj::byte> refusal;
  kj::ArrayPtr<const kj::byte> header, image;
  KJ_IF_MAYBE (held, answer.image) {
    header = (*held)->header();
    image = (*held)->bytes();
  } else {
    header = refusal = encodeImageHeader(answer.status, nullptr);
  }
  auto fault = co_await writeBefore(stream, header, timer, kj::min(timer.now() + STALL, deadline));
  KJ_IF_MAYBE (f, fault) co_return *f;
  if (answer.status == ImageStatus::BUSY) co_return CallStatus::RATE_LIMITED;
  if (answer.status != ImageStatus::OK) co_return CallStatus::BACKEND_FAILED;
  while (image.size() > 0) {
    auto chunk = image.slice(0, kj::min(image.size(), CHUNK_BYTES));
    auto missed = co_await writeBefore(stream, chunk, timer, kj::min(timer.now() + STALL, deadline));
    KJ_IF_MAYBE (f, missed) co_return *f;
    image = image.slice(chunk.size(), image.size());
  }
  stream.shutdownWrite();
  co_return CallStatus::OK;
}

}  // namespace nexus
