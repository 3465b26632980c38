// What the descriptor of openStream is worth: the same work through send/recv calls and through the descriptor, in one
// run, so that the ratio does not depend on the machine. The stack with its servers runs in one thread, the client in
// another, as two processes would; the peer is a loop inside the stack, the same for both.
#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <kj/thread.h>

#include <cstdio>

#include "daemons/netstackd/netstack-fixture.h"
#include "daemons/netstackd/network-manager.h"
#include "libs/nexus-net-os/client/client-stream.h"
#include "libs/nexus-net-os/daemon/system-entropy.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"
#include "libs/nexus-net-os/stack/tcp-listener.h"

namespace nexus {
namespace {

constexpr size_t ECHO_BYTES = 64;
constexpr int ECHO_ROUNDS = 4000;
constexpr size_t BULK_BYTES = 64 << 20;
constexpr int REPEATS = 5;

// Port 7 answers with the same bytes (RFC 862); port 9 counts until the end and then says so with one byte; port 19
// sends BULK_BYTES.
kj::Promise<void> serve(kj::Own<TcpConn> conn, uint16_t port) {
  if (port == 19) {
    auto block = pattern(65536);
    for (size_t sent = 0; sent < BULK_BYTES; sent += block.size()) co_await conn->write(block);
  } else {
    for (;;) {
      auto data = co_await conn->read(65536);
      if (data.size() == 0) break;
      if (port == 7) co_await conn->write(data);
    }
    if (port == 9) co_await conn->write("!"_kj.asBytes());
  }
  co_await conn->shutdownWrite();
}

class Peer final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Peer(LwipStack& stack) : stack(stack), tasks(*this) {
    for (uint16_t port : {7, 9, 19}) tasks.add(acceptLoop(port));
  }

 private:
  LwipStack& stack;
  kj::TaskSet tasks;

  kj::Promise<void> acceptLoop(uint16_t port) {
    auto listening = TcpListener::listen(stack, {{}, port});
    for (;;) tasks.add(serve(co_await listening.listener->accept(), port));
  }
  void taskFailed(kj::Exception&& exception) override { KJ_LOG(ERROR, "the peer failed", exception); }
};

// One connection to a port of the peer, in the client's thread.
kj::Own<kj::AsyncIoStream> open(kj::AsyncIoContext& io, idl::NetworkManager::Client manager, uint16_t port,
                                bool throughFd) {
  auto request = manager.connectTcpRequest();
  SocketAddress{IpAddress::v4(10, 42, 0, 10), port}.toIdl(request.initRemote());
  request.initLocal().initAddress().setAny();
  auto socket = request.send().wait(io.waitScope).getSocket();
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  if (throughFd) lowLevel = *io.lowLevelProvider;
  return openClientStream(socket, lowLevel).wait(io.waitScope);
}

template <typename Work>
double seconds(Work&& work) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto before = clock.now();
  work();
  return (clock.now() - before) / kj::NANOSECONDS / 1e9;
}

struct Result {
  double echoMicros, upMegabytes, downMegabytes;
};

Result measure(kj::AsyncIoContext& io, idl::NetworkManager::Client manager, bool throughFd) {
  Result result;
  auto block = pattern(262144);
  {
    auto stream = open(io, manager, 7, throughFd);
    kj::byte buffer[ECHO_BYTES];
    result.echoMicros = seconds([&] {
                          for (int i = 0; i < ECHO_ROUNDS; i++) {
                            stream->write(block.begin(), ECHO_BYTES).wait(io.waitScope);
                            stream->read(buffer, ECHO_BYTES).wait(io.waitScope);
                          }
                        }) /
                        ECHO_ROUNDS * 1e6;
  }
  {
    auto stream = open(io, manager, 9, throughFd);
    result.upMegabytes = BULK_BYTES / 1e6 / seconds([&] {
                           for (size_t sent = 0; sent < BULK_BYTES; sent += block.size()) {
                             stream->write(block.begin(), block.size()).wait(io.waitScope);
                           }
                           stream->shutdownWrite();
                           CHECK(stream->readAllText().wait(io.waitScope) == "!");
                         });
  }
  {
    auto stream = open(io, manager, 19, throughFd);
    size_t got = 0;
    result.downMegabytes = BULK_BYTES / 1e6 / seconds([&] {
                             for (;;) {
                               size_t n = stream->tryRead(block.begin(), 1, block.size()).wait(io.waitScope);
                               if (n == 0) break;
                               got += n;
                             }
                           });
    CHECK(got == BULK_BYTES);
  }
  return result;
}

Result best(const Result& a, const Result& b) {
  return {kj::min(a.echoMicros, b.echoMicros), kj::max(a.upMegabytes, b.upMegabytes),
          kj::max(a.downMegabytes, b.downMegabytes)};
}

TEST_CASE("bulk through the descriptor is faster than through calls") {
  auto pair = newSocketPair();
  auto stop = newSocketPair();
  kj::Thread stackThread([&] {
    auto io = kj::setupAsyncIo();
    SystemEntropy entropy;
    IdlePort port;
    LwipStack stack(io.provider->getTimer(), entropy, port);
    stack.setIpv4({IpAddress::v4(10, 42, 0, 10), 24, {}}, idl::NetConfig::Origin::STATIC);
    auto running = stack.runLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, e); });
    auto node = kj::refcounted<NetNode>(stack, *io.lowLevelProvider);
    Peer peer(stack);
    CapServer server([&](const PeerCredentials&) -> capnp::Capability::Client {
      return newNetworkManager(*node, NetPolicy::allowEverything());
    });
    server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(pair.ends[0])));
    // Until the client's thread closes its end.
    io.lowLevelProvider->wrapSocketFd(kj::mv(stop.ends[0]))->readAllBytes().wait(io.waitScope);
  });
  {
    auto io = kj::setupAsyncIo();
    CapConnection client(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(pair.ends[1])));
    auto manager = client.bootstrap().castAs<idl::NetworkManager>();
    // The best of each: what else runs on the machine only ever makes it slower.
    auto calls = measure(io, manager, false), fd = measure(io, manager, true);
    for (int repeat = 1; repeat < REPEATS; repeat++) {
      calls = best(calls, measure(io, manager, false));
      fd = best(fd, measure(io, manager, true));
    }
    printf("%-26s %12s %12s %8s\n", "", "send/recv", "openStream", "ratio");
    printf("%-26s %9.1f us %9.1f us %8.2f\n", "echo round trip, 64 bytes", calls.echoMicros, fd.echoMicros,
           calls.echoMicros / fd.echoMicros);
    printf("%-26s %7.0f MB/s %7.0f MB/s %8.2f\n", "to the network", calls.upMegabytes, fd.upMegabytes,
           fd.upMegabytes / calls.upMegabytes);
    printf("%-26s %7.0f MB/s %7.0f MB/s %8.2f\n", "from the network", calls.downMegabytes, fd.downMegabytes,
           fd.downMegabytes / calls.downMegabytes);
    CHECK(fd.upMegabytes > calls.upMegabytes);
    CHECK(fd.downMegabytes > calls.downMegabytes);
  }
  stop.ends[1] = nullptr;
}

}  // namespace
}  // namespace nexus
