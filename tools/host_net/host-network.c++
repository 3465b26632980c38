#include "tools/host_net/host-network.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/base/wait-queue.h"

namespace nexus {

namespace {

using idl::Outcome;

constexpr size_t MAX_CALL_BYTES = 65536;
constexpr size_t MAX_WAITING = 16;  // calls of one kind on one socket

void requireRoom(const WaitQueue& queue) {
  if (queue.size() >= MAX_WAITING) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait"));
}

// The kernel's refusals as outcomes; KJ gives them as exceptions with the kernel's words.
Outcome outcomeOf(const kj::Exception& exception) {
  auto text = exception.getDescription();
  auto says = [&](const char* words) { return strstr(text.cStr(), words) != nullptr; };
  if (says("in use")) return Outcome::ADDRESS_IN_USE;
  if (says("Cannot assign")) return Outcome::ADDRESS_NOT_AVAILABLE;
  if (says("refused")) return Outcome::REFUSED;
  if (says("timed out")) return Outcome::TIMED_OUT;
  if (says("ermission denied")) return Outcome::DENIED;
  return Outcome::UNREACHABLE;
}

class HostTcpSocket final : public idl::TcpSocket::Server {
 public:
  HostTcpSocket(kj::Own<kj::AsyncIoStream> stream, SocketAddress local, SocketAddress remote)
      : stream(kj::mv(stream)), local(local), remote(remote) {}

  kj::Promise<void> send(SendContext context) override {
    KJ_REQUIRE(context.getParams().getData().size() <= MAX_CALL_BYTES, "at most 65536 bytes a call");
    requireRoom(writers);
    WaitQueue::Turn turn(writers);
    while (!turn.isFirst()) co_await turn.wait();
    auto data = context.getParams().getData();
    co_await stream->write(data.begin(), data.size());
  }

  kj::Promise<void> recv(RecvContext context) override {
    size_t most = kj::min(context.getParams().getMaxBytes(), MAX_CALL_BYTES);
    KJ_REQUIRE(most > 0, "a read of no bytes");
    requireRoom(readers);
    WaitQueue::Turn turn(readers);
    while (!turn.isFirst()) co_await turn.wait();
    auto buffer = kj::heapArray<kj::byte>(most);
    auto size = co_await stream->tryRead(buffer.begin(), 1, most);
    context.getResults().setData(buffer.slice(0, size));
  }

  kj::Promise<void> close(CloseContext) override {
    requireRoom(writers);
    WaitQueue::Turn turn(writers);
    while (!turn.isFirst()) co_await turn.wait();
    stream->shutdownWrite();
  }

  kj::Promise<void> addresses(AddressesContext context) override {
    local.toIdl(context.getResults().initLocal());
    remote.toIdl(context.getResults().initRemote());
    return kj::READY_NOW;
  }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  SocketAddress local, remote;
  WaitQueue readers, writers;
};

class HostTcpListener final : public idl::TcpListener::Server {
 public:
  HostTcpListener(kj::Own<kj::ConnectionReceiver> receiver, SocketAddress local)
      : receiver(kj::mv(receiver)), local(local) {}

  kj::Promise<void> accept(AcceptContext context) override {
    requireRoom(waiting);
    WaitQueue::Turn turn(waiting);
    while (!turn.isFirst()) co_await turn.wait();
    auto accepted = co_await receiver->acceptAuthenticated();
    auto who = accepted.peerIdentity.downcast<kj::NetworkPeerIdentity>();
    auto remote = KJ_ASSERT_NONNULL(SocketAddress::tryParse(who->getAddress().toString()));
    auto results = context.getResults();
    remote.toIdl(results.initRemote());
    local.toIdl(results.initLocal());
    results.setSocket(kj::heap<HostTcpSocket>(kj::mv(accepted.stream), local, remote));
  }

 private:
  kj::Own<kj::ConnectionReceiver> receiver;
  SocketAddress local;
  WaitQueue waiting;
};

class HostUdpSocket final : public idl::UdpSocket::Server {
 public:
  HostUdpSocket(kj::Network& network, kj::Own<kj::DatagramPort> port)
      : network(network), port(kj::mv(port)), receiver(this->port->makeReceiver({MAX_CALL_BYTES, 0})) {}

  kj::Promise<void> sendTo(SendToContext context) override {
    auto to = SocketAddress::fromIdl(context.getParams().getTo());
    if (to.address.isMulticast()) {
      context.getResults().setOutcome(Outcome::DENIED);
      co_return;
    }
    auto data = kj::heapArray(context.getParams().getData());
    auto address = co_await network.parseAddress(kj::str(to));
    auto outcome =
        co_await port->send(data.begin(), data.size(), *address)
            .then([](size_t) { return Outcome::OK; }, [](kj::Exception&& exception) { return outcomeOf(exception); });
    context.getResults().setOutcome(outcome);
  }

  // What nobody waits for stays with the kernel, up to its own bound.
  kj::Promise<void> recvFrom(RecvFromContext context) override {
    requireRoom(waiting);
    WaitQueue::Turn turn(waiting);
    for (;;) {
      while (!turn.isFirst()) co_await turn.wait();
      co_await receiver->receive();
      auto from = SocketAddress::tryParse(receiver->getSource().toString());
      KJ_IF_MAYBE (address, from) {
        address->toIdl(context.getResults().initFrom());
        context.getResults().setData(receiver->getContent().value);
        co_return;
      }
    }
  }

  kj::Promise<void> joinGroup(JoinGroupContext context) override {
    context.getResults().setOutcome(Outcome::DENIED);
    return kj::READY_NOW;
  }

 private:
  kj::Network& network;
  kj::Own<kj::DatagramPort> port;
  kj::Own<kj::DatagramReceiver> receiver;
  WaitQueue waiting;
};

class HostNetwork final : public idl::NetworkManager::Server {
 public:
  HostNetwork(kj::Network& network, IpAddress address) : network(network), address(address) {}

  kj::Promise<void> getConfig(GetConfigContext context) override {
    if (context.getParams().getKnown() == GENERATION) return kj::NEVER_DONE;  // nothing here ever changes
    auto config = context.getResults().initConfig();
    config.setGeneration(GENERATION);
    config.setLinkUp(true);
    config.setMtu(1500);
    auto own = config.initAddresses(1)[0];
    address.toIdl(own.initAddress());
    own.setPrefixLength(address.bytes().size() * 8);
    own.setOrigin(idl::NetConfig::Origin::STATIC);
    config.initGateway().setAny();
    return kj::READY_NOW;
  }

  kj::Promise<void> createTcpListener(CreateTcpListenerContext context) override {
    auto at = co_await parse(context.getParams().getLocal());
    auto results = context.getResults();
    kj::Maybe<kj::Exception> failure = kj::runCatchingExceptions([&] {
      auto receiver = at.kernel->listen();
      at.address.port = receiver->getPort();
      results.setListener(kj::heap<HostTcpListener>(kj::mv(receiver), at.address));
      at.address.toIdl(results.initLocal());
    });
    KJ_IF_MAYBE (exception, failure) results.setOutcome(outcomeOf(*exception));
  }

  kj::Promise<void> connectTcp(ConnectTcpContext context) override {
    auto remote = SocketAddress::fromIdl(context.getParams().getRemote());
    auto kernel = co_await network.parseAddress(kj::str(remote));
    kj::Maybe<kj::Own<kj::AsyncIoStream>> stream;
    auto outcome = co_await kernel->connect().then(
        [&](kj::Own<kj::AsyncIoStream> connected) {
          stream = kj::mv(connected);
          return Outcome::OK;
        },
        [](kj::Exception&& exception) { return outcomeOf(exception); });
    auto results = context.getResults();
    results.setOutcome(outcome);
    KJ_IF_MAYBE (s, stream) results.setSocket(kj::heap<HostTcpSocket>(kj::mv(*s), SocketAddress{address, 0}, remote));
  }

  kj::Promise<void> createUdpSocket(CreateUdpSocketContext context) override {
    auto at = co_await parse(context.getParams().getLocal());
    auto results = context.getResults();
    kj::Maybe<kj::Exception> failure = kj::runCatchingExceptions([&] {
      auto port = at.kernel->bindDatagramPort();
      at.address.port = port->getPort();
      results.setSocket(kj::heap<HostUdpSocket>(network, kj::mv(port)));
      at.address.toIdl(results.initLocal());
    });
    KJ_IF_MAYBE (exception, failure) results.setOutcome(outcomeOf(*exception));
  }

 private:
  static constexpr uint32_t GENERATION = 1;

  struct Local {
    SocketAddress address;
    kj::Own<kj::NetworkAddress> kernel;
  };

  kj::Network& network;
  IpAddress address;

  kj::Promise<Local> parse(idl::SocketAddress::Reader reader) {
    auto local = SocketAddress::fromIdl(reader, IpAddress::AllowAny::YES);
    if (local.address.isAny()) local.address = address;
    auto kernel = co_await network.parseAddress(kj::str(local));
    co_return Local{local, kj::mv(kernel)};
  }
};

}  // namespace

idl::NetworkManager::Client newHostNetwork(kj::Network& network, IpAddress address) {
  return kj::heap<HostNetwork>(network, address);
}

}  // namespace nexus
