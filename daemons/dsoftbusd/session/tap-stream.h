#pragma once
// For tests: a byte stream that keeps what was written through it, and lets a test write raw bytes past whoever
// believes to own it.
#include <kj/async-io.h>
#include <kj/vector.h>

namespace nexus {

class TapStream final : public kj::AsyncIoStream {
 public:
  bool hold = false;    // keep what is written, and let nothing pass
  bool broken = false;  // every write fails, and not as a connection that ended; reading goes on

  TapStream(kj::Own<kj::AsyncIoStream> inner, kj::Vector<kj::Array<kj::byte>>& writes)
      : inner(kj::mv(inner)), writes(writes) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return inner->tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    if (broken) return KJ_EXCEPTION(FAILED, "no more");
    writes.add(kj::heapArray(reinterpret_cast<const kj::byte*>(buffer), size));
    if (hold) return kj::READY_NOW;
    return inner->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (broken) return KJ_EXCEPTION(FAILED, "no more");
    return inner->write(pieces);
  }
  void shutdownWrite() override { inner->shutdownWrite(); }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  kj::Own<kj::AsyncIoStream> inner;
  kj::Vector<kj::Array<kj::byte>>& writes;
};

// A stream that somebody else owns.
class BorrowedStream final : public kj::AsyncIoStream {
 public:
  explicit BorrowedStream(kj::AsyncIoStream& inner) : inner(inner) {}
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return inner.tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override { return inner.write(buffer, size); }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner.write(pieces);
  }
  void shutdownWrite() override { inner.shutdownWrite(); }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  kj::AsyncIoStream& inner;
};

}  // namespace nexus
