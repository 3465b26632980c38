#include "daemons/dsoftbusd/transport/net-transport.h"

#include <kj/debug.h>

#include <deque>

#include "libs/nexus-net-os/client/client-stream.h"

namespace nexus {

namespace {

class NetTransport final : public Transport {
 public:
  NetTransport(idl::NetworkManager::Client net, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
      : net(kj::mv(net)), lowLevel(lowLevel) {}

  // A dial may outlive the transport: it uses nothing of it after it has begun.
  kj::Promise<Dialed> dial(const SocketAddress& remote) override {
    auto provider = lowLevel;
    auto request = net.connectTcpRequest();
    remote.toIdl(request.initRemote());
    request.initLocal().getAddress().setAny();  // the stack chooses
    auto response = co_await request.send();
    if (response.getOutcome() != idl::Outcome::OK) {
      co_return DialFailure{kj::str(outcomeText(response.getOutcome())), response.getOutcome() == idl::Outcome::DENIED};
    }
    co_return co_await openClientStream(response.getSocket(), provider);
  }

 private:
  idl::NetworkManager::Client net;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
};

class NetAcceptor final : public Acceptor {
 public:
  NetAcceptor(idl::TcpListener::Client listener, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
      : listener(kj::mv(listener)), lowLevel(lowLevel) {}

  kj::Promise<Accepted> accept() override {
    for (;;) {
      if (!accepted.empty()) {
        auto connection = kj::mv(accepted.front());
        accepted.pop_front();
        co_return kj::mv(connection);
      }
      // Every caller joins the one call, and a caller that gives up does not end it: what it brings goes to the next.
      if (!accepting) {
        accepting = true;
        next = acceptOne().fork();
      }
      co_await KJ_ASSERT_NONNULL(next).addBranch();
    }
  }

 private:
  idl::TcpListener::Client listener;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  std::deque<Accepted> accepted;
  bool accepting = false, told = false;
  kj::Maybe<kj::ForkedPromise<void>> next;  // the last call

  kj::Promise<void> acceptOne() {
    KJ_DEFER(accepting = false);
    for (;;) {
      auto response = co_await listener.acceptRequest().send();
      KJ_IF_MAYBE (stream, co_await tryOpen(response.getSocket())) {
        accepted.push_back({kj::mv(*stream), SocketAddress::fromIdl(response.getRemote())});
        co_return;
      }
    }
  }

  // Null when only this connection is lost, and with that closed: the others need not be.
  kj::Promise<kj::Maybe<kj::Own<kj::AsyncIoStream>>> tryOpen(idl::TcpSocket::Client socket) {
    using Opened = kj::Maybe<kj::Own<kj::AsyncIoStream>>;
    return openClientStream(kj::mv(socket), lowLevel)
        .then([](kj::Own<kj::AsyncIoStream>&& stream) -> Opened { return kj::mv(stream); },
              [this](kj::Exception&& exception) -> Opened {
                if (exception.getType() == kj::Exception::Type::DISCONNECTED) {
                  kj::throwFatalException(kj::mv(exception));  // the stack is gone
                }
                if (!told) KJ_LOG(WARNING, "drops a connection without a descriptor", exception.getDescription());
                told = true;  // whoever connects again and again fills no log
                return nullptr;
              });
  }
};

}  // namespace

kj::Own<Transport> newNetTransport(idl::NetworkManager::Client net, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel) {
  return kj::heap<NetTransport>(kj::mv(net), lowLevel);
}

kj::Own<Acceptor> newNetAcceptor(idl::TcpListener::Client listener, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel) {
  return kj::heap<NetAcceptor>(kj::mv(listener), lowLevel);
}

kj::StringPtr outcomeText(idl::Outcome outcome) {
  switch (outcome) {
    case idl::Outcome::OK:
      return "ok"_kj;
    case idl::Outcome::DENIED:
      return "denied by the network policy"_kj;
    case idl::Outcome::REFUSED:
      return "connection refused"_kj;
    case idl::Outcome::UNREACHABLE:
      return "unreachable"_kj;
    case idl::Outcome::TIMED_OUT:
      return "connection timed out"_kj;
    case idl::Outcome::ADDRESS_IN_USE:
      return "address in use"_kj;
    case idl::Outcome::ADDRESS_NOT_AVAILABLE:
      return "address not available"_kj;
    case idl::Outcome::NOT_FOUND:
      return "not found"_kj;
  }
  return "unknown outcome"_kj;
}

}  // namespace nexus
