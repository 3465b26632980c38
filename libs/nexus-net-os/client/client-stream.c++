#include "libs/nexus-net-os/client/client-stream.h"

#include <kj/debug.h>

#include <deque>

#include "libs/nexus-net-os/rpc/fd-cap.h"

namespace nexus {

kj::Promise<size_t> ClientStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  auto out = kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes);
  size_t got = 0;
  for (;;) {
    got += takeReceived(out.slice(got, maxBytes));
    if (got >= minBytes || ended) co_return got;
    co_await fill();
  }
}

size_t ClientStream::takeReceived(kj::ArrayPtr<kj::byte> out) {
  KJ_IF_MAYBE (response, received) {
    auto data = response->getData();
    size_t amount = kj::min(out.size(), data.size() - taken);
    memcpy(out.begin(), data.begin() + taken, amount);
    taken += amount;
    if (taken == data.size()) received = nullptr;
    return amount;
  }
  return 0;
}

// Until `received` or `ended` has changed. Every caller joins the one recv call; a failed one stays, and fails them
// all.
kj::Promise<void> ClientStream::fill() {
  if (!recvPending) {
    recvPending = true;
    auto request = socket.recvRequest();
    request.setMaxBytes(READ_SIZE);
    recv = request.send()
               .then(
                   [this](capnp::Response<idl::TcpSocket::RecvResults>&& response) {
                     recvPending = false;
                     taken = 0;
                     if (response.getData().size() == 0) {
                       ended = true;
                     } else {
                       received = kj::mv(response);
                     }
                   },
                   [this](kj::Exception&& exception) {
                     recvPending = false;
                     kj::throwFatalException(noted(kj::mv(exception)));
                   })
               .fork();
  }
  return KJ_ASSERT_NONNULL(recv).addBranch();
}

kj::Promise<void> ClientStream::write(const void* buffer, size_t size) {
  auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  co_await write(kj::arrayPtr(&piece, 1));
}

kj::Promise<void> ClientStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  size_t left = 0;
  for (auto piece : pieces) left += piece.size();
  size_t index = 0, offset = 0;  // what comes next
  std::deque<kj::Promise<void>> inFlight;
  while (left > 0) {
    if (inFlight.size() == WRITES_IN_FLIGHT) {
      auto oldest = kj::mv(inFlight.front());
      inFlight.pop_front();
      co_await oldest;
    }
    auto request = socket.sendRequest();
    auto data = request.initData(kj::min(left, WRITE_SIZE));
    left -= data.size();
    for (size_t filled = 0; filled < data.size();) {
      size_t amount = kj::min(data.size() - filled, pieces[index].size() - offset);
      memcpy(data.begin() + filled, pieces[index].begin() + offset, amount);
      filled += amount, offset += amount;
      if (offset == pieces[index].size()) index++, offset = 0;
    }
    inFlight.push_back(request.send().ignoreResult().catch_(
        [this](kj::Exception&& exception) { kj::throwFatalException(noted(kj::mv(exception))); }));
  }
  while (!inFlight.empty()) {
    auto oldest = kj::mv(inFlight.front());
    inFlight.pop_front();
    co_await oldest;
  }
}

void ClientStream::shutdownWrite() {
  tasks.add(socket.closeRequest().send().ignoreResult());
}

kj::Promise<void> ClientStream::whenWriteDisconnected() {
  WaitQueue::Turn turn(disconnectWaiters);
  while (!disconnected) co_await turn.wait();
}

kj::Exception ClientStream::noted(kj::Exception&& exception) {
  if (exception.getType() == kj::Exception::Type::DISCONNECTED && !disconnected) {
    disconnected = true;
    disconnectWaiters.wake();
  }
  return kj::mv(exception);
}

kj::Promise<kj::Own<kj::AsyncIoStream>> openClientStream(idl::TcpSocket::Client socket,
                                                         kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel) {
  KJ_IF_MAYBE (provider, lowLevel) {
    auto& wrap = *provider;
    auto opened = co_await socket.openStreamRequest().send().then(
        [](auto&& response) -> kj::Maybe<idl::Fd::Client> { return response.getStream(); },
        [](kj::Exception&& exception) -> kj::Maybe<idl::Fd::Client> {
          if (exception.getType() != kj::Exception::Type::UNIMPLEMENTED) kj::throwFatalException(kj::mv(exception));
          return nullptr;
        });
    KJ_IF_MAYBE (cap, opened) co_return wrap.wrapSocketFd(co_await takeFd(kj::mv(*cap)));
  }
  co_return kj::heap<ClientStream>(kj::mv(socket));
}

}  // namespace nexus
