#include "daemons/dsoftbusd/benchmark/two-stacks-link.h"

#include <kj/debug.h>
#include <kj/mutex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemons/dsoftbusd/benchmark/wire-port.h"
#include "daemons/netstackd/network-manager.h"
#include "libs/nexus-net-os/client/client-stream.h"
#include "libs/nexus-net-os/daemon/system-entropy.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {

namespace {

constexpr uint16_t PORT = 34567;
constexpr size_t CLIENTS = 31;  // connections to each netstackd in all

// One netstackd: its sockets for clients, and the process behind them.
struct StackProcess {
  SocketPair clients[CLIENTS];
  size_t used = 0;
  pid_t pid = 0;

  double cpuSeconds() const {
    clockid_t clock;
    timespec t{};
    KJ_ASSERT(clock_getcpuclockid(pid, &clock) == 0);
    KJ_SYSCALL(clock_gettime(clock, &t));
    return t.tv_sec + t.tv_nsec / 1e9;
  }
};

IpAddress addressOf(kj::uint end) {
  return IpAddress::v4(10, 42, 0, 10 + end);
}

class TwoStacksLink final : public Link {
 public:
  explicit TwoStacksLink(Bytes bytes) : bytes(bytes) {
    for (auto& stack : stacks) {
      for (auto& pair : stack.clients) pair = newSocketPair();
    }
    pid_t parent = getpid();
    for (kj::uint end : {0, 1}) {
      KJ_SYSCALL(stacks[end].pid = fork());
      if (stacks[end].pid == 0) runStack(end, parent);
    }
    for (auto& stack : stacks) {
      for (auto& pair : stack.clients) pair.ends[0] = nullptr;
    }
  }
  ~TwoStacksLink() noexcept(false) {
    for (auto& stack : stacks) {
      kill(stack.pid, SIGKILL);
      waitpid(stack.pid, nullptr, 0);
    }
  }

  kj::StringPtr name() const override {
    return bytes == Bytes::CALLS ? "netstackd, calls"_kj : "netstackd, descriptor"_kj;
  }
  kj::Array<double> ownCpuSeconds() override {
    return kj::heapArray<double>({stacks[0].cpuSeconds(), stacks[1].cpuSeconds()});
  }

  kj::Own<kj::AsyncIoStream> connect(kj::AsyncIoContext& io) override {
    auto client = newClient(io, 0);
    auto manager = client->bootstrap().castAs<idl::NetworkManager>();
    for (;;) {
      auto request = manager.connectTcpRequest();
      SocketAddress{addressOf(1), PORT}.toIdl(request.initRemote());
      request.initLocal().initAddress().setAny();
      auto response = request.send().wait(io.waitScope);
      if (response.getOutcome() != idl::Outcome::OK) {
        // The other end does not listen yet; more resets than the stack may send would cost a second.
        io.provider->getTimer().afterDelay(20 * kj::MILLISECONDS).wait(io.waitScope);
        continue;
      }
      auto stream = open(io, response.getSocket());
      return stream.attach(kj::mv(client));
    }
  }

  kj::Own<kj::AsyncIoStream> accept(kj::AsyncIoContext& io) override {
    auto client = newClient(io, 1);
    auto request = client->bootstrap().castAs<idl::NetworkManager>().createTcpListenerRequest();
    request.initLocal().initAddress().setAny();
    request.getLocal().setPort(PORT);
    auto listening = request.send().wait(io.waitScope);
    KJ_ASSERT(listening.getOutcome() == idl::Outcome::OK);
    auto stream = open(io, listening.getListener().acceptRequest().send().wait(io.waitScope).getSocket());
    return stream.attach(kj::mv(client));
  }

 private:
  const Bytes bytes;
  SharedWire wire;
  StackProcess stacks[2];  // each used by one thread

  kj::Own<CapConnection> newClient(kj::AsyncIoContext& io, kj::uint end) {
    auto& stack = stacks[end];
    KJ_ASSERT(stack.used < CLIENTS, "the benchmark makes more pairs than it said");
    return kj::heap<CapConnection>(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(stack.clients[stack.used++].ends[1])));
  }

  kj::Own<kj::AsyncIoStream> open(kj::AsyncIoContext& io, idl::TcpSocket::Client socket) {
    kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
    if (bytes == Bytes::DESCRIPTOR) lowLevel = *io.lowLevelProvider;
    return openClientStream(kj::mv(socket), lowLevel).wait(io.waitScope);
  }

  [[noreturn]] void runStack(kj::uint end, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    // A connection ends when its client closes it: nobody else may have its end.
    for (auto& stack : stacks) {
      for (auto& pair : stack.clients) pair.ends[1] = nullptr;
    }
    for (auto& pair : stacks[1 - end].clients) pair.ends[0] = nullptr;
    auto io = kj::setupAsyncIo();
    SystemEntropy entropy;
    WirePort port(wire, end, io.unixEventPort);
    LwipStack stack(io.provider->getTimer(), entropy, port);
    stack.setIpv4({addressOf(end), 24, {}}, idl::NetConfig::Origin::STATIC);
    auto node = kj::refcounted<NetNode>(stack, *io.lowLevelProvider);
    CapServer server([&](const PeerCredentials&) -> capnp::Capability::Client {
      return newNetworkManager(*node, NetPolicy::allowEverything());
    });
    for (auto& pair : stacks[end].clients) server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(pair.ends[0])));
    stack.runLoop().wait(io.waitScope);
    _exit(1);
  }
};

}  // namespace

kj::Own<Link> newTwoStacksLink(Bytes bytes) {
  return kj::heap<TwoStacksLink>(bytes);
}

}  // namespace nexus
