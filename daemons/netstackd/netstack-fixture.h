#pragma once
// For tests: the servers of netstackd over a real LwipStack whose link leads nowhere (connections go to the node's own
// address), reached as clients reach them, through RPC on socketpairs. Real descriptors, virtual time: when nothing
// more can happen, time jumps to the next timer.
#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include "daemons/netstackd/network-manager.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {

class IoClock {
 public:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};

  // Lets everything happen that can happen without time passing. Bytes in a socketpair arrive at once, so a few rounds
  // see all of them.
  void settle() {
    for (int i = 0; i < 4; i++) io.waitScope.poll();
  }

  template <typename T>
  T run(kj::Promise<T> promise, kj::Duration limit = 120 * kj::SECONDS) {
    auto deadline = timer.now() + limit;
    for (;;) {
      settle();
      if (promise.poll(io.waitScope)) return promise.wait(io.waitScope);
      auto next = KJ_ASSERT_NONNULL(timer.nextEvent(), "deadlock: nobody waits for time");
      KJ_ASSERT(next <= deadline, "out of virtual time");
      timer.advanceTo(next);
    }
  }

  // Whether the promise stays undone although `duration` passes.
  template <typename T>
  bool stays(kj::Promise<T>& promise, kj::Duration duration = kj::SECONDS) {
    auto end = timer.now() + duration;
    for (;;) {
      settle();
      if (promise.poll(io.waitScope)) return false;
      auto next = timer.nextEvent().orDefault(end);
      if (next >= end) break;
      timer.advanceTo(next);
    }
    timer.advanceTo(end);
    settle();
    return !promise.poll(io.waitScope);
  }
};

// A link that is up and leads nowhere.
class IdlePort final : public FramePort {
 public:
  MacAddress macAddress() override { return {{0x52, 0x54, 0x00, 0x12, 0x34, 0x0a}}; }
  LinkState linkState() override { return {.up = true, .mtu = 1500, .reason = nullptr}; }
  bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>, const FrameMeta&) override {
    transmitted++;
    return true;
  }
  void flush() override {}
  kj::Promise<void> receiveLoop(Receiver&) override { return kj::NEVER_DONE; }

  kj::uint transmitted = 0;
};

inline SocketAddress at(kj::StringPtr text) {
  return KJ_ASSERT_NONNULL(SocketAddress::tryParse(text), text);
}

inline kj::Array<kj::byte> pattern(size_t size, kj::byte salt = 0) {
  auto data = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) data[i] = i * 31 + i / 253 + salt;
  return data;
}

class NetFixture {
 public:
  IoClock clock;
  FixedEntropy entropy;
  IdlePort port;
  LwipStack stack{clock.timer, entropy, port};
  kj::Promise<void> running = stack.runLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(FATAL, e); });
  kj::Own<NetNode> node;
  CapServer server;

  explicit NetFixture(NetLimits limits = {}, NetPolicy policy = NetPolicy::allowEverything())
      : node(kj::refcounted<NetNode>(stack, *clock.io.lowLevelProvider, limits)),
        server([this, policy](const PeerCredentials&) -> capnp::Capability::Client {
          return newNetworkManager(*node, policy);
        }) {
    stack.setIpv4({IpAddress::v4(10, 42, 0, 10), 24, {}}, idl::NetConfig::Origin::STATIC);
  }

  // A client: a connection of its own. Dropping it is the death of the client's process.
  kj::Own<CapConnection> newClient() {
    auto pipe = clock.io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    return kj::heap<CapConnection>(kj::mv(pipe.ends[1]));
  }
  static idl::NetworkManager::Client managerOf(CapConnection& client) {
    return client.bootstrap().castAs<idl::NetworkManager>();
  }

  template <typename Request>
  auto call(Request&& request) {
    return clock.run(request.send().dropPipeline());
  }

  kj::Exception failureOf(kj::Promise<void> promise) {
    auto failure = kj::runCatchingExceptions([&] { clock.run(kj::mv(promise)); });
    KJ_IF_MAYBE (exception, failure) return kj::mv(*exception);
    FAIL("the call succeeded");
    KJ_UNREACHABLE;
  }
  kj::Exception::Type typeOf(kj::Promise<void> promise) { return failureOf(kj::mv(promise)).getType(); }

  // requests ----

  auto listenRequest(idl::NetworkManager::Client manager, kj::StringPtr local, uint16_t backlog = 0) {
    auto request = manager.createTcpListenerRequest();
    at(local).toIdl(request.initLocal());
    request.setBacklog(backlog);
    return request;
  }
  auto connectRequest(idl::NetworkManager::Client manager, kj::StringPtr remote) {
    auto request = manager.connectTcpRequest();
    at(remote).toIdl(request.initRemote());
    request.initLocal().initAddress().setAny();
    return request;
  }
  auto udpRequest(idl::NetworkManager::Client manager, kj::StringPtr local) {
    auto request = manager.createUdpSocketRequest();
    at(local).toIdl(request.initLocal());
    return request;
  }
  auto sendToRequest(idl::UdpSocket::Client socket, kj::StringPtr to, kj::ArrayPtr<const kj::byte> data) {
    auto request = socket.sendToRequest();
    at(to).toIdl(request.initTo());
    request.setData(data);
    return request;
  }

  // what most tests begin with ----

  idl::TcpListener::Client listen(idl::NetworkManager::Client manager, kj::StringPtr local, uint16_t backlog = 0) {
    auto response = call(listenRequest(manager, local, backlog));
    REQUIRE(response.getOutcome() == idl::Outcome::OK);
    return response.getListener();
  }
  idl::TcpSocket::Client connect(idl::NetworkManager::Client manager, kj::StringPtr remote) {
    auto response = call(connectRequest(manager, remote));
    REQUIRE(response.getOutcome() == idl::Outcome::OK);
    return response.getSocket();
  }
  idl::UdpSocket::Client udp(idl::NetworkManager::Client manager, kj::StringPtr local) {
    auto response = call(udpRequest(manager, local));
    REQUIRE(response.getOutcome() == idl::Outcome::OK);
    return response.getSocket();
  }

  struct Ends {
    idl::TcpSocket::Client near, far;
  };
  Ends connection(idl::NetworkManager::Client manager, kj::StringPtr where = "10.42.0.10:7000") {
    auto listener = listen(manager, where);
    auto near = connect(manager, where);
    return {near, call(listener.acceptRequest()).getSocket()};
  }

  kj::Promise<void> send(idl::TcpSocket::Client socket, kj::ArrayPtr<const kj::byte> data) {
    auto request = socket.sendRequest();
    request.setData(data);
    return request.send().ignoreResult();
  }
  kj::Promise<kj::String> recv(idl::TcpSocket::Client socket, uint32_t most = 65536) {
    auto request = socket.recvRequest();
    request.setMaxBytes(most);
    return request.send().then([](auto&& response) { return kj::heapString(response.getData().asChars()); });
  }
  kj::Promise<kj::String> recvFrom(idl::UdpSocket::Client socket) {
    return socket.recvFromRequest().send().then([](auto&& response) {
      return kj::str(SocketAddress::fromIdl(response.getFrom()), ' ', response.getData().asChars());
    });
  }
};

}  // namespace nexus
