// What the shared rings are worth: the same frames through transmit/receive calls and through an attachment, in one
// run, so that the ratio does not depend on the machine. The driver runs in one thread, its client in another, as two
// processes would; the device sends every frame back.
#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <kj/thread.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <deque>

#include "daemons/virtionetd/nic-server.h"
#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/frame/ring-port.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {
namespace {

constexpr int ROUND_TRIPS = 3000;
constexpr int FRAMES = 60'000;
constexpr int WINDOW = 64;  // frames under way

// A cable plugged into itself.
class MirrorDevice final : public FrameDevice {
 public:
  explicit MirrorDevice(BufferPool& pool) : pool(pool) {}
  MacAddress macAddress() override { return {{2, 0, 0, 0, 0, 1}}; }
  LinkState linkState() override { return {true, 1500, nullptr}; }
  bool provide(BufferId id) override {
    provided.push_back(id);
    return true;
  }
  bool transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta&) override {
    done.push_back(segments[0].buffer);
    if (!provided.empty()) {
      FrameSegment to{provided.front(), 0, segments[0].length};
      provided.pop_front();
      memcpy(pool.bytes(to).begin(), pool.bytes(segments[0]).begin(), to.length);
      arrived.push_back(to);
    }
    ready.wakeAll();
    return true;
  }
  void flush() override {}
  size_t poll(Events& events, size_t budget) override {
    size_t count = 0;
    for (; count < budget && !done.empty(); count++) {
      auto id = done.front();
      done.pop_front();
      events.transmitted(id);
    }
    for (; count < budget && !arrived.empty(); count++) {
      auto segment = arrived.front();
      arrived.pop_front();
      events.received({segment}, {});
    }
    return count;
  }
  kj::Promise<void> whenReady() override {
    if (!done.empty() || !arrived.empty()) return kj::READY_NOW;
    return ready.wait();
  }

 private:
  BufferPool& pool;
  std::deque<BufferId> provided, done;
  std::deque<FrameSegment> arrived;
  WaitList ready;
};

class MirrorBackend final : public LinkBackend {
 public:
  kj::StringPtr name() override { return "mirror"; }
  kj::Promise<OpenLink> open() override {
    auto pool = kj::heap<BufferPool>(BufferPool::create({512, 512}));
    auto device = kj::heap<MirrorDevice>(*pool);
    return OpenLink{kj::mv(pool), kj::mv(device)};
  }
  void forEachCounter(EachCounter) const override {}  // it counts nothing
};

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One frame there and back, `count` times, `window` under way: frames per second.
struct RpcPath {
  kj::AsyncIoContext& io;
  idl::Nic::Client nic;

  kj::Promise<void> lane(kj::ArrayPtr<const kj::byte> frame, int count) {
    for (int i = 0; i < count; i++) {
      auto request = nic.transmitRequest();
      request.setFrame(frame);
      auto sent = request.send().ignoreResult();
      auto received = co_await nic.receiveRequest().send();
      KJ_ASSERT(received.getFrame().size() == frame.size());
      co_await sent;
    }
  }
  double run(size_t size, int count, int window) {
    auto frame = kj::heapArray<kj::byte>(size);
    memset(frame.begin(), 1, size);
    auto start = std::chrono::steady_clock::now();
    kj::Vector<kj::Promise<void>> lanes;
    for (int i = 0; i < window; i++) lanes.add(lane(frame, count / window));
    kj::joinPromises(lanes.releaseAsArray()).wait(io.waitScope);
    return count / secondsSince(start);
  }
};

struct RingPath final : FramePort::Receiver {
  kj::AsyncIoContext& io;
  RingPort& port;
  size_t size = 0;
  int left = 0, toSend = 0;
  WaitList finished;

  RingPath(kj::AsyncIoContext& io, RingPort& port) : io(io), port(port) {}

  void send() {
    static constexpr kj::byte FRAME[1514] = {};
    kj::ArrayPtr<const kj::byte> pieces[] = {kj::arrayPtr(FRAME, size)};
    KJ_ASSERT(port.transmit(pieces, {}));
    toSend--;
  }
  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta&) override {
    KJ_ASSERT(pieces[0].bytes().size() == size);
    if (toSend > 0) send();
    if (--left == 0) finished.wakeAll();
  }
  void batchDone() override { port.flush(); }
  void linkChanged() override {}

  double run(size_t frameSize, int count, int window) {
    size = frameSize;
    left = toSend = count;
    auto start = std::chrono::steady_clock::now();
    auto done = finished.wait();
    for (int i = 0; i < window; i++) send();
    port.flush();
    done.wait(io.waitScope);
    return count / secondsSince(start);
  }
};

TEST_CASE("the rings are faster than calls") {
  auto rpcPair = newSocketPair(), ringPair = newSocketPair(), stop = newSocketPair();
  kj::Thread driver([&] {
    auto io = kj::setupAsyncIo();
    io.waitScope.setBusyPollInterval(32);
    MirrorBackend backend;
    NicLink link(backend, io.unixEventPort, io.provider->getTimer());
    auto loop = link.driveLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, e); });
    CapServer server([&](const PeerCredentials&) -> capnp::Capability::Client { return newNicServer(link); });
    server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(rpcPair.ends[0])));
    server.accept(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(ringPair.ends[0])));
    io.lowLevelProvider->wrapSocketFd(kj::mv(stop.ends[0]))->readAllBytes().wait(io.waitScope);
  });
  KJ_DEFER(stop.ends[1] = nullptr);  // before the thread is joined, whatever happens
  {
    auto io = kj::setupAsyncIo();
    double calls[3], rings[3];
    {
      CapConnection connection(io.lowLevelProvider->wrapUnixSocketFd(kj::mv(rpcPair.ends[1])));
      RpcPath path{io, connection.bootstrap().castAs<idl::Nic>()};
      path.run(60, 300, 1);
      calls[0] = path.run(60, ROUND_TRIPS, 1);
      calls[1] = path.run(60, FRAMES / 4, 16);  // as many as may wait for a frame
      calls[2] = path.run(1514, FRAMES / 4, 16);
    }
    kj::Maybe<kj::Own<kj::AsyncCapabilityStream>> stream =
        io.lowLevelProvider->wrapUnixSocketFd(kj::mv(ringPair.ends[1]));
    CapReconnect import([&]() -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
      return kj::mv(KJ_ASSERT_NONNULL(stream, "connected twice"));
    });
    RingPort port(import, io.unixEventPort, io.provider->getTimer());
    port.attach().wait(io.waitScope);
    RingPath path(io, port);
    auto loop = port.receiveLoop(path).eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, e); });
    path.run(60, 300, 1);
    rings[0] = path.run(60, ROUND_TRIPS, 1);
    rings[1] = path.run(60, FRAMES, WINDOW);
    rings[2] = path.run(1514, FRAMES, WINDOW);
    const char* names[] = {"one frame under way, 60 bytes", "many, 60 bytes", "many, 1514 bytes"};
    printf("%-32s %16s %16s %8s\n", "frames there and back per second", "calls", "rings", "ratio");
    for (int i = 0; i < 3; i++)
      printf("%-32s %16.0f %16.0f %8.1f\n", names[i], calls[i], rings[i], rings[i] / calls[i]);
    for (int i = 0; i < 3; i++) CHECK(rings[i] > calls[i]);
  }
}

}  // namespace
}  // namespace nexus
