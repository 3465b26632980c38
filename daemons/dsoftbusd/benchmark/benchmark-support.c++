#include "daemons/dsoftbusd/benchmark/benchmark-support.h"

#include <kj/debug.h>
#include <kj/mutex.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "daemons/netstackd/netstack-fixture.h"
#include "libs/nexus-net-os/client/client-stream.h"
#include "libs/nexus-net-os/daemon/system-entropy.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {

namespace {

class KernelTcpLink final : public Link {
 public:
  KernelTcpLink() {
    auto io = kj::setupAsyncIo();
    // A listening socket that outlives the loop it was made in: its port is asked for once.
    listening = kj::AutoCloseFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    KJ_SYSCALL(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    KJ_SYSCALL(listen(listening, 8));
    socklen_t size = sizeof(address);
    KJ_SYSCALL(getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size));
  }
  kj::StringPtr name() const override { return "kernel TCP"_kj; }
  kj::Own<kj::AsyncIoStream> connect(kj::AsyncIoContext& io) override {
    return io.provider->getNetwork().getSockaddr(&address, sizeof(address))->connect().wait(io.waitScope);
  }
  kj::Own<kj::AsyncIoStream> accept(kj::AsyncIoContext& io) override {
    auto receiver = io.lowLevelProvider->wrapListenSocketFd(listening.get());
    return receiver->accept().wait(io.waitScope);
  }

 private:
  kj::AutoCloseFd listening;
  sockaddr_in address{};
};

class SocketPairLink final : public Link {
 public:
  kj::StringPtr name() const override { return "socketpair"_kj; }
  kj::Own<kj::AsyncIoStream> connect(kj::AsyncIoContext& io) override { return end(io, 0); }
  kj::Own<kj::AsyncIoStream> accept(kj::AsyncIoContext& io) override { return end(io, 1); }

 private:
  kj::MutexGuarded<kj::Maybe<SocketPair>> pair;
  kj::Own<kj::AsyncIoStream> end(kj::AsyncIoContext& io, kj::uint which) {
    auto lock = pair.lockExclusive();
    bool first = *lock == nullptr;
    if (first) *lock = newSocketPair();
    auto fd = kj::mv(KJ_ASSERT_NONNULL(*lock).ends[which]);
    if (!first) *lock = nullptr;  // the next pair is another one
    return io.lowLevelProvider->wrapSocketFd(kj::mv(fd));
  }
};

// The connection of one thread to netstackd, kept as long as its socket.
class NetstackLink final : public Link {
 public:
  explicit NetstackLink(Bytes bytes) : bytes(bytes), stop(newSocketPair()) {
    for (auto& pair : clients) pair = newSocketPair();
    stackThread = kj::heap<kj::Thread>([this] { runStack(); });
  }
  ~NetstackLink() noexcept(false) {
    stop.ends[1] = nullptr;
    stackThread = nullptr;
  }
  kj::StringPtr name() const override {
    return bytes == Bytes::CALLS ? "netstackd, calls"_kj : "netstackd, descriptor"_kj;
  }

  kj::Own<kj::AsyncIoStream> connect(kj::AsyncIoContext& io) override {
    auto client = newClient(io);
    auto manager = client->bootstrap().castAs<idl::NetworkManager>();
    for (;;) {
      auto request = manager.connectTcpRequest();
      SocketAddress{IpAddress::v4(10, 42, 0, 10), PORT}.toIdl(request.initRemote());
      request.initLocal().initAddress().setAny();
      auto response = request.send().wait(io.waitScope);
      if (response.getOutcome() != idl::Outcome::OK) continue;  // the other end does not listen yet
      auto stream = open(io, response.getSocket());
      return stream.attach(kj::mv(client));
    }
  }

  kj::Own<kj::AsyncIoStream> accept(kj::AsyncIoContext& io) override {
    auto client = newClient(io);
    auto request = client->bootstrap().castAs<idl::NetworkManager>().createTcpListenerRequest();
    request.initLocal().initAddress().setAny();
    request.getLocal().setPort(PORT);
    auto listening = request.send().wait(io.waitScope);
    KJ_ASSERT(listening.getOutcome() == idl::Outcome::OK);
    auto stream = open(io, listening.getListener().acceptRequest().send().wait(io.waitScope).getSocket());
    return stream.attach(kj::mv(client));
  }

 private:
  static constexpr uint16_t PORT = 34567;
  static constexpr size_t CLIENTS = 80;  // connections to netstackd in all
  const Bytes bytes;
  SocketPair clients[CLIENTS];
  kj::MutexGuarded<size_t> used{size_t(0)};
  SocketPair stop;
  kj::Own<kj::Thread> stackThread;

  kj::Own<CapConnection> newClient(kj::AsyncIoContext& io) {
    auto lock = used.lockExclusive();
    KJ_ASSERT(*lock < CLIENTS, "the benchmark makes more pairs than it said");
    return kj::heap<CapConnection>(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(clients[(*lock)++].ends[1])));
  }

  kj::Own<kj::AsyncIoStream> open(kj::AsyncIoContext& io, idl::TcpSocket::Client socket) {
    kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
    if (bytes == Bytes::DESCRIPTOR) lowLevel = *io.lowLevelProvider;
    return openClientStream(kj::mv(socket), lowLevel).wait(io.waitScope);
  }

  void runStack() {
    auto io = kj::setupAsyncIo();
    SystemEntropy entropy;
    IdlePort port;
    LwipStack stack(io.provider->getTimer(), entropy, port);
    stack.setIpv4({IpAddress::v4(10, 42, 0, 10), 24, {}}, idl::NetConfig::Origin::STATIC);
    auto running = stack.runLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, e); });
    auto node = kj::refcounted<NetNode>(stack, *io.lowLevelProvider);
    RpcLimits limits;
    limits.maxConnections = CLIENTS;
    CapServer server(
        [&](const PeerCredentials&) -> capnp::Capability::Client {
          return newNetworkManager(*node, NetPolicy::allowEverything());
        },
        limits);
    for (auto& pair : clients) server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(pair.ends[0])));
    io.lowLevelProvider->wrapSocketFd(kj::mv(stop.ends[0]))->readAllBytes().wait(io.waitScope);
  }
};

}  // namespace

kj::Own<Link> newKernelTcpLink() {
  return kj::heap<KernelTcpLink>();
}

kj::Own<Link> newSocketPairLink() {
  return kj::heap<SocketPairLink>();
}

kj::Own<Link> newNetstackLink(Bytes bytes) {
  return kj::heap<NetstackLink>(bytes);
}

LiveSession startSession(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream, MuxRole role, OpenDoor& door) {
  auto& timer = io.provider->getTimer();
  SystemEntropy entropy;
  auto dialling = DeviceIdentity::forTest("node-a"), answering = DeviceIdentity::forTest("node-b");
  auto result =
      role == MuxRole::INITIATOR
          ? initiateHandshake(kj::mv(stream), dialling, ExpectedPeer::of(answering.publicIdentity()), timer, entropy)
          : respondToHandshake(kj::mv(stream), answering, timer, entropy);
  auto done = result.wait(io.waitScope);
  KJ_ASSERT(done.is<HandshakeDone>(), done.get<HandshakeFailure>().what);
  LiveSession live;
  live.session = kj::refcounted<Session>(kj::mv(done.get<HandshakeDone>().channel), role,
                                         static_cast<RequestHandler&>(door), timer, [] {});
  auto session = kj::addRef(*live.session);
  live.running = session->run().ignoreResult().attach(kj::mv(session)).eagerlyEvaluate(nullptr);
  return live;
}

void runPair(Link& link, NodeWork near, NodeWork far) {
  kj::Thread other([&] {
    auto io = kj::setupAsyncIo();
    auto stream = link.accept(io);
    far(io, kj::mv(stream));
  });
  auto io = kj::setupAsyncIo();
  auto stream = link.connect(io);
  near(io, kj::mv(stream));
}

double Effort::busiest() const {
  double most = kj::max(near, far);
  for (double stack : stacks) most = kj::max(most, stack);
  return most;
}

bool isMet(bool met, kj::StringPtr wanted) {
  if (!met) printf("%-22s NOT MET: %s is wanted\n", "", wanted.cStr());
  fflush(stdout);
  return met || getenv("NEXUS_BENCHMARK_GATE") == nullptr;
}

double secondsOf(kj::FunctionParam<void()> work) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto before = clock.now();
  work();
  return (clock.now() - before) / kj::NANOSECONDS / 1e9;
}

double cpuSecondsOf(kj::FunctionParam<void()> work) {
  auto now = [] {
    timespec t;
    KJ_SYSCALL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
    return t.tv_sec + t.tv_nsec / 1e9;
  };
  auto before = now();
  work();
  return now() - before;
}

Spread Spread::of(kj::ArrayPtr<const double> runs) {
  kj::Vector<double> sorted;
  sorted.addAll(runs);
  std::sort(sorted.begin(), sorted.end());
  return {sorted[sorted.size() / 2], sorted.front(), sorted.back()};
}

kj::String KJ_STRINGIFY(const Spread& spread) {
  char text[64];
  snprintf(text, sizeof(text), "%10.1f (%.1f-%.1f)", spread.median, spread.least, spread.most);
  return kj::str(text);
}

}  // namespace nexus
