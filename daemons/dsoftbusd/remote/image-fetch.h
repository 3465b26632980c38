#pragma once
// Fetches a node's bundle image over a stream that was opened for it: reads, checks, and hands the image to a sink that
// keeps nothing before the whole was found right. Reads as the sink takes, so that the stream's credit holds the peer
// back. For the daemon, for nexusctl and for the selftest; knows nothing of sessions.
#include <kj/async-io.h>
#include <kj/one-of.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/remote/image-transfer.h"

namespace nexus {

// Where an image goes. Dropped without commit(): nothing of it stays.
class ImageSink {
 public:
  virtual ~ImageSink() noexcept(false) = default;
  virtual void write(kj::ArrayPtr<const kj::byte> bytes) = 0;  // the next bytes
  virtual void commit() = 0;                                   // all of them, and the right ones
};

struct ImageFetchLimits {
  kj::Duration stall = 10 * kj::SECONDS;   // without a byte
  kj::Duration whole = 120 * kj::SECONDS;  // for everything: 16 MiB at 140 KB/s
};

constexpr size_t IMAGE_READ_BYTES = 32768;  // at most, at a time

struct FetchedImage {
  uint64_t bytes;
  kj::String sha256;  // 64 hexadecimal digits
};

// Ends in one of the two; a failure to write is NOT_KEPT. sink and timer outlive the promise; dropping it ends the
// transfer, and the sink was not committed.
kj::Promise<kj::OneOf<FetchedImage, ImageFault>> fetchImage(kj::Own<kj::AsyncInputStream> stream, ImageSink& sink,
                                                            kj::Timer& timer, ImageFetchLimits limits = {});

}  // namespace nexus
