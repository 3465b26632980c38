#pragma once
// A stream some of whose bytes were read already, by somebody who had to see what they are: gives them again first. To
// be used by one reader at a time.
#include <kj/async-io.h>

#include <cstring>

namespace nexus {

class PrefixedStream final : public kj::AsyncIoStream {
 public:
  PrefixedStream(kj::Array<kj::byte> prefix, kj::Own<kj::AsyncIoStream> stream)
      : prefix(kj::mv(prefix)), stream(kj::mv(stream)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    size_t n = kj::min(prefix.size() - given, maxBytes);
    if (n == 0) return stream->tryRead(buffer, minBytes, maxBytes);
    memcpy(buffer, prefix.begin() + given, n);
    given += n;
    if (n >= minBytes) return n;
    return stream->tryRead(static_cast<kj::byte*>(buffer) + n, minBytes - n, maxBytes - n).then([n](size_t more) {
      return n + more;
    });
  }
  kj::Promise<void> write(const void* buffer, size_t size) override { return stream->write(buffer, size); }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return stream->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return stream->whenWriteDisconnected(); }
  void shutdownWrite() override { stream->shutdownWrite(); }
  void abortRead() override { stream->abortRead(); }

 private:
  kj::Array<kj::byte> prefix;
  size_t given = 0;
  kj::Own<kj::AsyncIoStream> stream;
};

}  // namespace nexus
