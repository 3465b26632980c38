#include "libs/nexus-net-os/client/bus-stream.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<size_t> BusStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  auto out = kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes);
  size_t got = 0;
  for (;;) {
    got += takeReceived(out.slice(got, maxBytes));
    if (got >= minBytes || ended) co_return got;
    co_await fill();
  }
}

size_t BusStream::takeReceived(kj::ArrayPtr<kj::byte> out) {
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

// Until `received` or `ended` has changed. A reader that gives up leaves the call; the next one takes its result.
kj::Promise<void> BusStream::fill() {
  if (!readPending) {
    readPending = true;
    auto request = stream.readRequest();
    request.setMaxBytes(CALL_BYTES);
    reading = request.send()
                  .then(
                      [this](capnp::Response<idl::MuxStream::ReadResults>&& response) {
                        readPending = false;
                        taken = 0;
                        if (response.getData().size() == 0) {
                          ended = true;
                        } else {
                          received = kj::mv(response);
                        }
                      },
                      [this](kj::Exception&& exception) {
                        readPending = false;
                        kj::throwFatalException(noted(kj::mv(exception)));
                      })
                  .fork();
  }
  return KJ_ASSERT_NONNULL(reading).addBranch();
}

kj::Promise<void> BusStream::write(const void* buffer, size_t size) {
  auto rest = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  while (rest.size() > 0) {
    size_t amount = kj::min(rest.size(), CALL_BYTES);
    auto request = stream.writeRequest();
    request.setData(rest.slice(0, amount));
    rest = rest.slice(amount, rest.size());
    co_await request.send().ignoreResult().catch_(
        [this](kj::Exception&& exception) { kj::throwFatalException(noted(kj::mv(exception))); });
  }
}

kj::Promise<void> BusStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  size_t total = 0;
  for (auto& piece : pieces) total += piece.size();
  if (total > CALL_BYTES) {
    for (auto& piece : pieces) co_await write(piece.begin(), piece.size());
    co_return;
  }
  // A message of RPC is a few small pieces: one call.
  auto request = stream.writeRequest();
  auto data = request.initData(total);
  size_t at = 0;
  for (auto& piece : pieces) {
    memcpy(data.begin() + at, piece.begin(), piece.size());
    at += piece.size();
  }
  co_await request.send().ignoreResult().catch_(
      [this](kj::Exception&& exception) { kj::throwFatalException(noted(kj::mv(exception))); });
}

void BusStream::shutdownWrite() {
  tasks.add(stream.closeRequest().send().ignoreResult());
}

void BusStream::abortRead() {
  tasks.add(stream.resetRequest().send().ignoreResult());
}

kj::Promise<void> BusStream::whenWriteDisconnected() {
  WaitQueue::Turn turn(disconnectWaiters);
  while (!disconnected) co_await turn.wait();
}

kj::Exception BusStream::noted(kj::Exception&& exception) {
  if (exception.getType() == kj::Exception::Type::DISCONNECTED && !disconnected) {
    disconnected = true;
    disconnectWaiters.wake();
  }
  return kj::mv(exception);
}

}  // namespace nexus
