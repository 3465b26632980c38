#pragma once
// A TcpSocket capability as a kj::AsyncIoStream. Owned by whoever connected or accepted; dropping it drops the
// capability, which closes the connection in order. Two ways for the bytes: through RPC calls (ClientStream), or
// through a descriptor from openStream, where the kernel carries them (openClientStream chooses). Knows nothing of
// addresses.
#include <kj/async-io.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/base/wait-queue.h"

namespace nexus {

// The bytes go through send and recv. A read that is cancelled loses nothing that it had not yet put into the caller's
// buffer: the recv call behind it stays, and the next read takes its result.
class ClientStream final : public kj::AsyncIoStream, private kj::TaskSet::ErrorHandler {
 public:
  explicit ClientStream(idl::TcpSocket::Client socket) : socket(kj::mv(socket)), tasks(*this) {}
  KJ_DISALLOW_COPY_AND_MOVE(ClientStream);

  // implements kj::AsyncIoStream ----------------------------------------

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  void shutdownWrite() override;
  // Resolves once a call on the socket has failed as DISCONNECTED; nothing asks the stack on its own.
  kj::Promise<void> whenWriteDisconnected() override;

 private:
  static constexpr uint32_t READ_SIZE = 65536;   // bytes a recv
  static constexpr size_t WRITE_SIZE = 65536;    // bytes a send, the contract's most
  static constexpr size_t WRITES_IN_FLIGHT = 4;  // calls sent ahead of their answers

  idl::TcpSocket::Client socket;
  kj::Maybe<capnp::Response<idl::TcpSocket::RecvResults>> received;
  size_t taken = 0;  // bytes of `received` that were read
  bool ended = false;
  bool recvPending = false;
  kj::Maybe<kj::ForkedPromise<void>> recv;  // the last call
  bool disconnected = false;
  WaitQueue disconnectWaiters;
  kj::TaskSet tasks;

  size_t takeReceived(kj::ArrayPtr<kj::byte> out);
  kj::Promise<void> fill();
  kj::Exception noted(kj::Exception&& exception);
  void taskFailed(kj::Exception&& exception) override {
    noted(kj::mv(exception));
  }  // the next call fails too, and says so
};

// Through a descriptor when `lowLevel` is given and the socket has openStream, else through RPC.
kj::Promise<kj::Own<kj::AsyncIoStream>> openClientStream(idl::TcpSocket::Client socket,
                                                         kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel);

}  // namespace nexus
