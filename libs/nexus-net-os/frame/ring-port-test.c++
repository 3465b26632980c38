#include "libs/nexus-net-os/frame/ring-port.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/testing/fake-nic.h"

namespace nexus {
namespace {

kj::Array<kj::byte> frameOf(size_t size, kj::byte seed) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i * 7);
  return frame;
}

struct TestReceiver final : FramePort::Receiver {
  std::deque<kj::Array<kj::byte>> frames;
  std::deque<ReceivedPiece> kept;
  bool keep = false;
  size_t batches = 0, links = 0;

  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta&) override {
    kj::Vector<kj::byte> bytes;
    for (auto& piece : pieces) {
      bytes.addAll(piece.bytes());
      if (keep) kept.push_back(kj::mv(piece));
    }
    frames.push_back(bytes.releaseAsArray());
  }
  void batchDone() override { batches++; }
  void linkChanged() override {
    links++;
    if (onLinkChanged != nullptr) onLinkChanged();
  }
  std::function<void()> onLinkChanged;
};

// A port on a Nic with everything between them real but the device and the clock.
struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  FakeNic nic;
  CapReconnect import;
  TestReceiver receiver;
  kj::Own<RingPort> port;
  kj::Maybe<kj::Promise<void>> loop;

  explicit Fixture(BufferGeometry geometry = {16, 16})
      : nic(io, timer, geometry), import(nic.connector()), port(kj::heap<RingPort>(import, io.unixEventPort, timer)) {}

  // Everything that can happen without time passing, happens. Socket pairs deliver at once, so a few rounds are enough.
  void settle() {
    for (int i = 0; i < 20; i++) {
      io.waitScope.poll();
      kj::evalLast([] {}).wait(io.waitScope);
    }
  }

  void advance(kj::Duration duration) {
    auto end = timer.now() + duration;
    for (;;) {
      settle();
      auto next = timer.nextEvent().orDefault(end);
      if (next >= end) break;
      timer.advanceTo(next);
    }
    timer.advanceTo(end);
    settle();
  }

  void run() {
    loop = port->receiveLoop(receiver).eagerlyEvaluate(nullptr);
    settle();
  }

  bool send(kj::ArrayPtr<const kj::byte> frame) {
    kj::ArrayPtr<const kj::byte> pieces[] = {frame};
    bool sent = port->transmit(pieces, {});
    port->flush();
    return sent;
  }
};

TEST_CASE("a port attaches, knows address and link, and frames cross both ways") {
  Fixture f;
  CHECK_THROWS(f.port->macAddress());
  CHECK_FALSE(f.port->linkState().up);
  f.run();
  CHECK(f.port->macAddress() == f.nic.device().mac);
  CHECK(f.port->linkState().up);
  CHECK(f.port->linkState().mtu == 1500);

  auto frame = frameOf(1514, 1);
  f.nic.device().inject(frame);
  f.settle();
  REQUIRE(f.receiver.frames.size() == 1);
  CHECK((f.receiver.frames[0] == frame));
  CHECK(f.receiver.batches >= 1);
  CHECK(f.send(frame));
  f.settle();
  REQUIRE(f.nic.device().sent.size() == 1);
  CHECK((f.nic.device().sent[0].bytes == frame));
  CHECK(f.port->counters().transmitted == 1);
  CHECK(f.port->counters().received == 1);
}

TEST_CASE("a frame that is sent at the very moment the link is announced leaves") {
  struct Eager final : FramePort::Receiver {
    Fixture& f;
    bool sent = false;
    explicit Eager(Fixture& f) : f(f) {}
    void frameReceived(kj::ArrayPtr<ReceivedPiece>, const FrameMeta&) override {}
    void batchDone() override {}
    void linkChanged() override { sent = sent || f.send(frameOf(60, 9)); }
  };
  Fixture f;
  Eager eager(f);
  f.loop = f.port->receiveLoop(eager).eagerlyEvaluate(nullptr);
  f.settle();
  CHECK(eager.sent);
  CHECK(f.port->counters().droppedFull == 0);
  CHECK(f.nic.device().sent.size() == 1);
  f.loop = nullptr;
}

TEST_CASE(
    "a frame that does not fit the link is dropped and counted, and so is one while the driver is away or its queue "
    "full") {
  Fixture f;
  CHECK_FALSE(f.send(frameOf(60, 1)));
  CHECK(f.port->counters().droppedAway == 1);
  f.run();
  CHECK_FALSE(f.send(frameOf(13, 1)));
  CHECK_FALSE(f.send(frameOf(1519, 1)));
  CHECK(f.port->counters().droppedSize == 2);
  CHECK(f.send(frameOf(1518, 1)));
  f.settle();
  f.nic.device().completeAtOnce = false;
  int sent = 0;
  while (f.send(frameOf(60, 1))) sent++;
  CHECK(sent == 16);
  CHECK(f.port->counters().droppedFull == 1);
  f.settle();
  f.nic.device().complete();
  f.settle();
  CHECK(f.send(frameOf(60, 1)));
}

TEST_CASE("a stack that sends before it listens for frames loses nothing") {
  Fixture f;
  auto attached = f.port->attach();
  f.settle();
  attached.wait(f.io.waitScope);
  for (int i = 0; i < 16; i++) CHECK(f.send(frameOf(60, i)));
  f.settle();
  CHECK(f.nic.device().sent.size() == 16);
}

TEST_CASE("buffers that the driver has given back are found in the middle of a burst") {
  Fixture f;
  f.run();
  for (int burst = 0; burst < 3; burst++) {
    for (int i = 0; i < 16; i++) CHECK(f.send(frameOf(60, i)));
    // The driver's end runs, the port's loop does not: what it gave back lies in the ring.
    f.loop = nullptr;
    f.settle();
  }
  CHECK(f.nic.device().sent.size() == 48);
  CHECK(f.port->counters().droppedFull == 0);
}

TEST_CASE("what is sent in answer to the news that the link is up is not lost, even when it fills the queue") {
  Fixture f;
  size_t sent = 0;
  f.receiver.onLinkChanged = [&] {
    if (f.receiver.links > 1 || !f.port->linkState().up) return;
    while (sent < 16 && f.send(frameOf(60, sent))) sent++;
  };
  f.run();
  CHECK(sent == 16);
  CHECK(f.nic.device().sent.size() == 16);
  CHECK(f.port->counters().droppedFull == 0);
}

TEST_CASE("a link that goes down and up is told each time, and at once") {
  Fixture f;
  f.run();
  auto before = f.receiver.links;
  f.nic.device().setLink({false, 1500, "cable"_kj});
  f.settle();
  CHECK_FALSE(f.port->linkState().up);
  CHECK(f.port->linkState().reason.size() > 0);
  CHECK(f.receiver.links == before + 1);
  f.nic.device().setLink({true, 1400, nullptr});
  f.settle();
  CHECK(f.port->linkState().up);
  CHECK(f.port->linkState().mtu == 1400);
  CHECK_FALSE(f.send(frameOf(1419, 1)));
}

TEST_CASE(
    "a driver killed in mid-flight: link down, then attached again by itself, frames flow, held pieces stay readable") {
  Fixture f;
  f.receiver.keep = true;
  f.run();
  auto frame = frameOf(500, 3);
  f.nic.device().inject(frame);
  f.settle();
  REQUIRE(f.receiver.kept.size() == 1);
  for (int round = 1; round <= 5; round++) {
    f.nic.kill();
    f.settle();
    CHECK_FALSE(f.port->linkState().up);
    CHECK_FALSE(f.send(frame));
    f.advance(300 * kj::MILLISECONDS);
    CHECK_FALSE(f.port->linkState().up);
    f.nic.start();
    f.advance(2 * kj::SECONDS);
    REQUIRE(f.port->linkState().up);
    CHECK(f.port->counters().attached == static_cast<uint64_t>(round + 1));
    CHECK(f.port->counters().lost == static_cast<uint64_t>(round));
    auto count = f.receiver.frames.size();
    f.nic.device().inject(frame);
    f.settle();
    CHECK(f.receiver.frames.size() == count + 1);
    CHECK(f.send(frame));
    f.settle();
    CHECK(f.nic.device().sent.size() == 1);
  }
  for (auto& piece : f.receiver.kept) CHECK((piece.bytes() == frame));
  f.loop = nullptr;
  f.port = nullptr;
  CHECK((f.receiver.kept.front().bytes() == frame));
  f.receiver.kept.clear();
}

TEST_CASE("while nobody answers, attempts come with a back-off that doubles up to its bound") {
  Fixture f;
  f.nic.kill();
  f.run();
  CHECK(f.port->counters().failed == 1);
  f.advance(10 * kj::SECONDS);
  // 10, 20, 40 ... 640 ms, then every second: 7 within 1.27 s, then 8 more.
  CHECK(f.port->counters().failed >= 14);
  CHECK(f.port->counters().failed <= 17);
  CHECK(f.port->lastReason() == "nobody listens"_kj);
  f.nic.start();
  f.advance(1 * kj::SECONDS);
  CHECK(f.port->linkState().up);
}

TEST_CASE("one attachment at a time: the second is OVERLOADED, and gets its turn when the first is dropped") {
  Fixture f;
  f.run();
  CapReconnect second(f.nic.connector());
  auto nic = second.get<idl::Nic>();
  auto failure = kj::runCatchingExceptions([&] { nic.attachRequest().send().wait(f.io.waitScope); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  f.loop = nullptr;
  f.port = nullptr;
  f.settle();
  nic.attachRequest().send().wait(f.io.waitScope);
}

// What a client gets from attach(), by hand.
struct RawAttachment {
  idl::Attachment::Client cap;
  kj::AutoCloseFd buffers, rings, toStack, toDriver;

  explicit RawAttachment(Fixture& f) : cap(f.import.get<idl::Nic>().attachRequest().send().getAttachment()) {
    auto memory = cap.memoryRequest().send().wait(f.io.waitScope);
    buffers = takeFd(memory.getBuffers()).wait(f.io.waitScope);
    rings = takeFd(memory.getRings()).wait(f.io.waitScope);
    toStack = takeFd(memory.getToStack()).wait(f.io.waitScope);
    toDriver = takeFd(memory.getToDriver()).wait(f.io.waitScope);
  }
};

TEST_CASE(
    "after start neither memory can be resized, punched or mapped writable by the client; before, the driver does not "
    "depend on it") {
  Fixture f;
  RawAttachment raw(f);
  auto rings = SharedMemory::map(kj::AutoCloseFd(dup(raw.rings)), memorySize(raw.rings));
  raw.cap.startRequest().send().wait(f.io.waitScope);
  for (int fd : {raw.buffers.get(), raw.rings.get()}) {
    CHECK(ftruncate(fd, 0) == -1);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
    CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  }
  CHECK(madvise(rings.bytes().begin(), 4096, MADV_REMOVE) == -1);
  auto failure = kj::runCatchingExceptions([&] { raw.cap.startRequest().send().wait(f.io.waitScope); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::FAILED);
}

TEST_CASE("a client that truncated the memory before start is refused by the seal, and costs nobody but itself") {
  Fixture f;
  {
    RawAttachment raw(f);
    // What an attacker seals himself, the driver cannot: start fails instead of running on memory that may vanish.
    REQUIRE(fcntl(raw.rings, F_ADD_SEALS, F_SEAL_SEAL) == 0);
    CHECK_THROWS(raw.cap.startRequest().send().wait(f.io.waitScope));
  }
  f.settle();
  f.run();
  CHECK(f.port->linkState().up);
}

TEST_CASE("a hostile client ends its attachment with a reason; the next client finds fresh memory and a working link") {
  Fixture f;
  {
    RawAttachment raw(f);
    auto rings = SharedMemory::map(kj::AutoCloseFd(dup(raw.rings)), memorySize(raw.rings));
    raw.cap.startRequest().send().wait(f.io.waitScope);
    auto closed = raw.cap.closedRequest().send();
    CHECK_FALSE(closed.poll(f.io.waitScope));
    RingProducer ring(rings.bytes(), RingDirection::TO_DRIVER, {16, 16});
    ring.push({ring::Kind::RETURNED, false, {3, 0, 0}, {}});
    ring.publishAndWake();
    Doorbell(kj::mv(raw.toDriver)).ring();
    CHECK(closed.wait(f.io.waitScope).getReason() == "the return of a receive buffer that is not lent"_kj);
    auto failure = kj::runCatchingExceptions([&] { raw.cap.memoryRequest().send().wait(f.io.waitScope); });
    CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  }
  CHECK(f.nic.link().counters().attachmentFaults == 1);
  f.run();
  CHECK(f.port->linkState().up);
  CHECK(f.nic.opens == 2);
}

TEST_CASE("a device that fails closes the attachment, is opened again, and the port comes back on its own") {
  Fixture f;
  f.run();
  f.nic.failOpens = 2;
  f.nic.device().fail();
  f.settle();
  CHECK_FALSE(f.port->linkState().up);
  CHECK(f.port->lastReason().startsWith("the driver ended the attachment: the device failed"));
  f.advance(3 * kj::SECONDS);
  CHECK(f.port->linkState().up);
  CHECK(f.nic.link().counters().deviceFailures == 1);
  CHECK(f.nic.link().counters().openFailures == 2);
}

TEST_CASE("a driver whose memory belongs to its first client for life ends when that client is gone") {
  Fixture f;
  f.nic.onlyOnce = true;
  f.run();
  CHECK(f.nic.ended == nullptr);
  f.loop = nullptr;
  f.port = nullptr;
  f.settle();
  CHECK(KJ_ASSERT_NONNULL(f.nic.ended).getType() == kj::Exception::Type::DISCONNECTED);
}

// A driver that does not keep its side of the bargain.
class HostileNic final : public idl::Nic::Server {
 public:
  struct Plan {
    bool sealBuffers = true, sealRings = true;
    kj::uint macBytes = 6;
    kj::Function<void(kj::ArrayPtr<kj::byte>)> spoilRings = [](auto) {};
    kj::Function<void(kj::ArrayPtr<kj::byte>)> afterStart = [](auto) {};
    size_t bufferBytes = BufferGeometry{16, 16}.bytes();
    kj::Maybe<kj::StringPtr> bellIsFile;
  };
  explicit HostileNic(Plan& plan) : plan(plan) {}

  kj::Promise<void> macAddress(MacAddressContext context) override {
    memset(context.getResults().initAddress(plan.macBytes).begin(), 2, plan.macBytes);
    return kj::READY_NOW;
  }
  kj::Promise<void> linkStatus(LinkStatusContext context) override {
    if (context.getParams().getKnown() == 1) return kj::NEVER_DONE;
    context.getResults().initStatus().setGeneration(1);
    context.getResults().getStatus().setUp(true);
    context.getResults().getStatus().setMtu(1500);
    return kj::READY_NOW;
  }
  kj::Promise<void> attach(AttachContext context) override {
    context.getResults().setAttachment(kj::heap<HostileAttachment>(plan));
    return kj::READY_NOW;
  }

 private:
  Plan& plan;

  class HostileAttachment final : public idl::Attachment::Server {
   public:
    explicit HostileAttachment(Plan& plan) : plan(plan), buffers(SharedMemory::create("b", plan.bufferBytes)) {
      writeRingControl(rings.bytes(), {16, 16});
      plan.spoilRings(rings.bytes());
    }
    kj::Promise<void> memory(MemoryContext context) override {
      auto results = context.getResults();
      results.setBuffers(newFdCap(buffers.duplicateFd()));
      results.setRings(newFdCap(rings.duplicateFd()));
      results.setToStack(newFdCap(kj::mv(bell.listen)));
      results.setToDriver(newFdCap(kj::mv(other.ring)));
      return kj::READY_NOW;
    }
    kj::Promise<void> start(StartContext) override {
      if (plan.sealBuffers) buffers.seal();
      if (plan.sealRings) rings.seal();
      plan.afterStart(rings.bytes());
      return kj::READY_NOW;
    }
    kj::Promise<void> closed(ClosedContext) override { return kj::NEVER_DONE; }

   private:
    Plan& plan;
    SharedMemory buffers;
    SharedMemory rings = SharedMemory::create("r", ring::ringMemorySize(32));
    DoorbellFds bell = newDoorbell(), other = newDoorbell();
  };
};

// Runs a port against the hostile driver until it has settled; gives the port's last reason.
kj::String reasonAgainst(HostileNic::Plan& plan) {
  auto io = kj::setupAsyncIo();
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  CapServer server([&](const PeerCredentials&) -> capnp::Capability::Client { return kj::heap<HostileNic>(plan); });
  CapReconnect import([&]() -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
    auto pipe = io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    return kj::mv(pipe.ends[1]);
  });
  RingPort port(import, io.unixEventPort, timer);
  TestReceiver receiver;
  auto loop = port.receiveLoop(receiver).eagerlyEvaluate(nullptr);
  for (int i = 0; i < 50; i++) {
    io.waitScope.poll();
    kj::evalLast([] {}).wait(io.waitScope);
  }
  CHECK(port.counters().failed + port.counters().lost >= 1);
  CHECK_FALSE(port.linkState().up);
  return kj::str(port.lastReason());
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

TEST_CASE("a hostile driver is refused or left, with a reason, whatever it does") {
  for (bool unsealed : {false, true}) {
    HostileNic::Plan plan;
    (unsealed ? plan.sealBuffers : plan.sealRings) = false;
    CHECK(contains(reasonAgainst(plan), "did not seal"));
  }
  {
    HostileNic::Plan plan;
    plan.macBytes = 7;
    reasonAgainst(plan);
  }
  {
    HostileNic::Plan plan;
    plan.bufferBytes = 4096;
    CHECK(contains(reasonAgainst(plan), "shorter"));
  }
  {
    HostileNic::Plan plan;
    plan.spoilRings = [](auto memory) { memory[0] ^= 1; };
    CHECK(contains(reasonAgainst(plan), "magic"));
  }
  {
    HostileNic::Plan plan;  // the geometry grows after the buffers were sized
    plan.afterStart = [](auto memory) {
      uint32_t many = 4096;
      memcpy(memory.begin() + offsetof(ring::RingControl, receiveBuffers), &many, sizeof(many));
    };
    CHECK(contains(reasonAgainst(plan), "geometry"));
  }
  {
    HostileNic::Plan plan;
    plan.afterStart = [](auto memory) {
      RingProducer ring(memory, RingDirection::TO_STACK, {16, 16});
      ring.push({ring::Kind::RECEIVED, false, {3, 0, 60}, {}});
      ring.push({ring::Kind::RECEIVED, false, {3, 0, 60}, {}});
      ring.push({ring::Kind::GRANTED, false, {16, 0, 0}, {}});
      ring.push({ring::Kind::GRANTED, false, {16, 0, 0}, {}});
      ring.publish();
    };
    CHECK(contains(reasonAgainst(plan), "granted already"));
  }
  {
    HostileNic::Plan plan;
    plan.afterStart = [](auto memory) {
      reinterpret_cast<ring::RingHeader*>(memory.begin() + ring::TO_STACK_HEADER)->produced = 77;
    };
    CHECK(contains(reasonAgainst(plan), "index that jumps"));
  }
}

}  // namespace
}  // namespace nexus
