#pragma once
// A MuxStream capability of the bus as a kj::AsyncIoStream, so that Cap'n Proto RPC and HTTP run between programs of
// two nodes unchanged. Owned by whoever opened or accepted the stream; dropping it drops the capability, which sends
// what was written and closes the stream in order. Knows nothing of sessions or names.
//
//   tryRead            a read that is cancelled loses nothing; at the end of the peer's side it comes up short
//   write              waits while the peer does not read (256 KiB may wait); one caller at a time
//   shutdownWrite      half-close, behind what was written; reading goes on
//   abortRead          a reset: both directions, at once
//   errors             DISCONNECTED when the stream was reset or its session ended
#include <kj/async-io.h>

#include "idl/dsoftbus.capnp.h"
#include "libs/nexus-net-os/base/wait-queue.h"

namespace nexus {

class BusStream final : public kj::AsyncIoStream, private kj::TaskSet::ErrorHandler {
 public:
  explicit BusStream(idl::MuxStream::Client stream) : stream(kj::mv(stream)), tasks(*this) {}
  KJ_DISALLOW_COPY_AND_MOVE(BusStream);

  // implements kj::AsyncIoStream ----------------------------------------

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  void shutdownWrite() override;
  void abortRead() override;
  // Resolves once a call on the stream has failed as DISCONNECTED; nothing asks the bus on its own.
  kj::Promise<void> whenWriteDisconnected() override;

 private:
  static constexpr uint32_t CALL_BYTES = 65536;  // of a read or a write, the contract's most

  idl::MuxStream::Client stream;
  kj::Maybe<capnp::Response<idl::MuxStream::ReadResults>> received;
  size_t taken = 0;  // bytes of `received` that were read
  bool ended = false;
  bool readPending = false;
  kj::Maybe<kj::ForkedPromise<void>> reading;  // the last call
  bool disconnected = false;
  WaitQueue disconnectWaiters;
  kj::TaskSet tasks;  // half-close, reset

  size_t takeReceived(kj::ArrayPtr<kj::byte> out);
  kj::Promise<void> fill();
  kj::Exception noted(kj::Exception&& exception);
  void taskFailed(kj::Exception&& exception) override { noted(kj::mv(exception)); }  // the next call says so too
};

}  // namespace nexus
