#include "libs/nexus-net-os/frame/ring-driver-end.h"

#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <string>

#include "libs/nexus-net-os/frame/ring-stack-end.h"
#include "libs/nexus-net-os/testing/fake-frame-device.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

constexpr BufferGeometry GEOMETRY{16, 16};

kj::Array<kj::byte> frameOf(size_t size, kj::byte seed) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i * 7);
  return frame;
}

// Copies what it gets; may keep the pieces.
struct TestReceiver final : FramePort::Receiver {
  kj::Vector<kj::Array<kj::byte>> frames;
  kj::Vector<FrameMeta> metas;
  std::deque<ReceivedPiece> kept;
  bool keep = false;
  size_t batches = 0, links = 0;

  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta& meta) override {
    kj::Vector<kj::byte> bytes;
    for (auto& piece : pieces) {
      bytes.addAll(piece.bytes());
      if (keep) kept.push_back(kj::mv(piece));
    }
    frames.add(bytes.releaseAsArray());
    metas.add(meta);
  }
  void batchDone() override { batches++; }
  void linkChanged() override { links++; }
};

// Both ends over real shared memory and real doorbells.
struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  BufferPool driverPool = BufferPool::create(GEOMETRY);
  FakeFrameDevice device{driverPool};
  DeviceLoans loans{device, GEOMETRY};
  SharedMemory driverRings = SharedMemory::create("rings", ring::ringMemorySize(GEOMETRY.ringEntries()));
  DoorbellFds toStackFds = newDoorbell(), toDriverFds = newDoorbell();
  DoorbellListener toDriverBell{io.unixEventPort, kj::mv(toDriverFds.listen)};
  kj::Own<RingDriverEnd> driver =
      kj::heap<RingDriverEnd>(loans, driverRings.bytes(), Doorbell(kj::mv(toStackFds.ring)), toDriverBell);
  TestReceiver receiver;
  kj::Own<RingStackEnd> stack = newStackEnd();

  kj::Own<RingStackEnd> newStackEnd() {
    return kj::refcounted<RingStackEnd>(
        BufferPool(SharedMemory::map(driverPool.memory().duplicateFd(), GEOMETRY.bytes()), GEOMETRY),
        SharedMemory::map(driverRings.duplicateFd(), driverRings.bytes().size()), Doorbell(kj::mv(toDriverFds.ring)));
  }

  // Everything that can happen, happens.
  void settle() {
    for (int i = 0; i < 10; i++) {
      driver->pump();
      stack->poll(receiver);
      stack->flush();
    }
  }

  bool send(kj::ArrayPtr<const kj::byte> frame, const FrameMeta& meta = {}) {
    kj::ArrayPtr<const kj::byte> pieces[] = {frame.slice(0, frame.size() / 3),
                                             frame.slice(frame.size() / 3, frame.size())};
    return stack->transmit(pieces, meta);
  }

  // A client that writes its own descriptors.
  RingProducer hostile() { return RingProducer(driverRings.bytes(), RingDirection::TO_DRIVER, GEOMETRY); }
  RingProducer hostileDriver() { return RingProducer(driverRings.bytes(), RingDirection::TO_STACK, GEOMETRY); }
};

TEST_CASE("frames of every size cross both ways intact, received ones in place") {
  Fixture f;
  f.device.headroom = 12;
  f.settle();
  for (size_t size : {14u, 60u, 61u, 1514u, 2036u}) {
    auto frame = frameOf(size, 3);
    f.device.inject(frame);
    f.settle();
    REQUIRE(f.receiver.frames.size() == 1);
    CHECK((f.receiver.frames[0] == frame));
    f.receiver.frames.clear();
    CHECK(f.send(frame));
    f.stack->flush();
    f.settle();
    REQUIRE(f.device.sent.size() == 1);
    CHECK((f.device.sent[0].bytes == frame));
    f.device.sent.clear();
  }
  CHECK(f.stack->fault() == nullptr);
  CHECK(f.driver->fault() == nullptr);
}

TEST_CASE("a frame of many buffers stays one frame, with its metadata, in both directions") {
  Fixture f;
  f.settle();
  FrameMeta meta{FrameMeta::NEEDS_CHECKSUM, FrameMeta::Gso::TCP_V4, 1448, 54, 34, 16};
  auto frame = frameOf(10'000, 9);
  f.device.inject(frame, meta, 1000);
  f.settle();
  REQUIRE(f.receiver.frames.size() == 1);
  CHECK((f.receiver.frames[0] == frame));
  CHECK(f.receiver.metas[0] == meta);
  CHECK(f.send(frame));
  f.stack->flush();
  f.settle();
  REQUIRE(f.device.sent.size() == 1);
  CHECK((f.device.sent[0].bytes == frame));
}

TEST_CASE("every buffer comes round: ten thousand frames through sixteen buffers of each kind") {
  Fixture f;
  f.settle();
  auto frame = frameOf(100, 1);
  for (int i = 0; i < 10'000; i++) {
    frame[0] = static_cast<kj::byte>(i);
    f.device.inject(frame);
    REQUIRE(f.send(frame));
    f.driver->pump();
    f.stack->poll(f.receiver);
    f.stack->flush();
    f.driver->pump();
    f.stack->poll(f.receiver);
    REQUIRE(f.receiver.frames.size() == static_cast<size_t>(i + 1));
    REQUIRE(f.receiver.frames.back()[0] == static_cast<kj::byte>(i));
  }
  CHECK(f.device.noBuffer == 0);
  CHECK(f.device.sent.size() == 10'000);
  CHECK(f.loans.counters().received == 10'000);
  CHECK(f.loans.counters().transmitted == 10'000);
}

TEST_CASE("transmit buffers out: the stack is told so, and goes on when the device is done") {
  Fixture f;
  f.device.completeAtOnce = false;
  f.settle();
  CHECK(f.stack->freeTransmitCount() == 16);
  auto frame = frameOf(60, 1);
  for (int i = 0; i < 16; i++) CHECK(f.send(frame));
  CHECK_FALSE(f.send(frame));
  f.stack->flush();
  f.settle();
  CHECK(f.device.sent.size() == 16);
  CHECK_FALSE(f.send(frame));
  f.device.complete(3);
  f.settle();
  CHECK(f.stack->freeTransmitCount() == 3);
  CHECK(f.send(frame));
}

TEST_CASE("buffers that were granted behind a frame are found when the frame has been taken, not before") {
  Fixture f;
  f.settle();
  auto frame = frameOf(60, 1);
  for (int i = 0; i < 16; i++) CHECK(f.send(frame));
  f.stack->flush();
  f.device.completeAtOnce = false;
  f.driver->pump();  // takes the frames
  f.device.inject(frame);
  f.driver->pump();
  f.device.complete();
  f.driver->pump();
  CHECK_FALSE(f.send(frame));
  f.stack->poll(f.receiver);
  CHECK(f.receiver.frames.size() == 1);
  CHECK(f.send(frame));
}

TEST_CASE("a device queue that is full holds frames back without losing any or changing their order") {
  Fixture f;
  f.device.completeAtOnce = false;
  f.device.transmitSlots = 2;
  f.settle();
  for (kj::byte i = 0; i < 10; i++) CHECK(f.send(frameOf(60, i)));
  f.stack->flush();
  f.settle();
  CHECK(f.device.sent.size() == 2);
  CHECK(f.loans.counters().held == 8);
  while (f.device.inFlightCount() > 0) {
    f.device.complete(1);
    f.settle();
  }
  REQUIRE(f.device.sent.size() == 10);
  for (kj::byte i = 0; i < 10; i++) CHECK((f.device.sent[i].bytes == frameOf(60, i)));
  CHECK(f.stack->freeTransmitCount() == 16);
}

TEST_CASE("a stack that keeps every receive buffer starves only itself, and returning them heals it") {
  Fixture f;
  f.receiver.keep = true;
  f.settle();
  auto frame = frameOf(60, 1);
  for (int i = 0; i < 20; i++) {
    f.device.inject(frame);
    f.settle();
  }
  CHECK(f.receiver.frames.size() == 16);
  CHECK(f.device.noBuffer == 4);
  CHECK(f.stack->lentCount() == 16);
  f.receiver.kept.clear();
  f.driver->pump();  // without any flush of the stack
  CHECK(f.device.provided.size() == 16);
  f.device.inject(frame);
  f.settle();
  CHECK(f.receiver.frames.size() == 17);
}

TEST_CASE("a stack short of buffers rings the driver as soon as it returns one; one with plenty does not") {
  Fixture f;
  f.receiver.keep = true;
  auto loop = f.driver->pumpLoop(f.device, [] {});
  loop.poll(f.io.waitScope);
  auto rings = [&] { return f.stack->bellCount(); };
  for (int i = 0; i < 16; i++) f.device.inject(frameOf(60, 1));
  loop.poll(f.io.waitScope);
  f.stack->poll(f.receiver);
  CHECK(f.receiver.kept.size() == 16);
  auto before = rings();
  f.receiver.kept.pop_back();
  CHECK(rings() == before + 1);
  loop.poll(f.io.waitScope);
  CHECK(f.device.provided.size() == 1);
  while (f.receiver.kept.size() > 6) {
    f.receiver.kept.pop_back();
    loop.poll(f.io.waitScope);
  }
  before = rings();
  f.receiver.kept.pop_back();
  CHECK(rings() == before);
}

TEST_CASE("the loops run on doorbells alone, one ring for a whole batch") {
  Fixture f;
  auto driverLoop = f.driver->pumpLoop(f.device, [] {});
  DoorbellListener toStackBell(f.io.unixEventPort, kj::mv(f.toStackFds.listen));
  driverLoop.poll(f.io.waitScope);
  f.stack->poll(f.receiver);
  REQUIRE(f.stack->prepareSleep());
  auto before = f.driver->bellCount();
  for (int i = 0; i < 10; i++) f.device.inject(frameOf(60, 1));
  driverLoop.poll(f.io.waitScope);
  CHECK(f.driver->bellCount() == before + 1);
  toStackBell.whenRung().wait(f.io.waitScope);
  f.stack->poll(f.receiver);
  CHECK(f.receiver.frames.size() == 10);
  for (int i = 0; i < 10; i++) CHECK(f.send(frameOf(60, 1)));
  f.stack->flush();
  CHECK(f.stack->bellCount() == 1);
  driverLoop.poll(f.io.waitScope);
  CHECK(f.device.sent.size() == 10);
}

TEST_CASE("a client that breaks a rule of ownership ends the attachment with a reason, and the link lives on") {
  struct Case {
    kj::StringPtr reason;
    kj::Function<void(Fixture&, RingProducer&)> attack;
  };
  auto returned = [](BufferId id) { return RingEntry{ring::Kind::RETURNED, false, {id, 0, 0}, {}}; };
  auto frame = [](BufferId id, bool more = false) { return RingEntry{ring::Kind::TRANSMIT, more, {id, 0, 60}, {}}; };
  auto cases = kj::arr(Case{"the return of a receive buffer that is not lent"_kj,
                            [&](auto& f, auto& ring) { ring.push(returned(0)); }},  // with the device
                       Case{"the return of a receive buffer that is not lent"_kj,
                            [&](auto& f, auto& ring) {
                              f.device.inject(frameOf(60, 1));
                              f.driver->pump();
                              ring.push(returned(0)), ring.push(returned(0));
                            }},
                       Case{"a frame in a transmit buffer that is not lent"_kj,
                            [&](auto& f, auto& ring) { ring.push(frame(16)), ring.push(frame(16)); }},
                       Case{"a frame that names a buffer twice"_kj,
                            [&](auto& f, auto& ring) { ring.push(frame(16, true)), ring.push(frame(16)); }},
                       Case{"a returned buffer in the middle of a frame"_kj,
                            [&](auto& f, auto& ring) { ring.push(frame(16, true)), ring.push(returned(0)); }},
                       Case{"a frame that asks for an offload nobody offered"_kj, [&](auto& f, auto& ring) {
                              ring.push({ring::Kind::TRANSMIT,
                                         false,
                                         {16, 0, 60},
                                         {FrameMeta::NEEDS_CHECKSUM, FrameMeta::Gso::NONE, 0, 0, 34, 6}});
                            }});
  for (auto& c : cases) {
    INFO(std::string(c.reason.cStr()));
    Fixture f;
    f.device.completeAtOnce = false;
    f.driver->pump();
    auto loop = f.driver->pumpLoop(f.device, [] {});
    auto ring = f.hostile();
    c.attack(f, ring);
    ring.publish();
    f.device.inject(frameOf(60, 1));  // something to wake the driver
    auto reason = loop.wait(f.io.waitScope);
    CHECK(reason == c.reason);
    // Every buffer is accounted for: a new attachment on the same device works once the old frames are done.
    f.driver = nullptr;
    f.device.complete();
    for (BufferId id = 0; id < GEOMETRY.total(); id++) CHECK_FALSE(f.loans.isUsers(id));
  }
}

TEST_CASE("a frame of more segments than a device takes is refused at the bound") {
  BufferGeometry big{16, 32};
  auto pool = BufferPool::create(big);
  FakeFrameDevice device(pool);
  DeviceLoans loans(device, big);
  auto rings = SharedMemory::create("rings", ring::ringMemorySize(big.ringEntries()));
  auto io = kj::setupAsyncIo();
  auto bell = newDoorbell(), other = newDoorbell();
  DoorbellListener listener(io.unixEventPort, kj::mv(bell.listen));
  RingDriverEnd driver(loans, rings.bytes(), Doorbell(kj::mv(other.ring)), listener);
  RingProducer ring(rings.bytes(), RingDirection::TO_DRIVER, big);
  for (BufferId id = 16; id < 16 + FrameDevice::MAX_SEGMENTS; id++) {
    ring.push({ring::Kind::TRANSMIT, id + 1 < 16 + FrameDevice::MAX_SEGMENTS, {id, 0, 10}, {}});
  }
  ring.publish();
  driver.pump();
  CHECK(driver.fault() == nullptr);
  CHECK(device.sent.size() == 1);
  driver.pump();  // the buffers come round
  for (BufferId id = 16; id <= 16 + FrameDevice::MAX_SEGMENTS && id < 48; id++) {
    ring.push({ring::Kind::TRANSMIT, true, {id, 0, 10}, {}});
  }
  ring.publish();
  driver.pump();
  CHECK(driver.fault() == "a frame of too many segments"_kj);
}

TEST_CASE("half a frame that was published early is completed by the rest, and sent once") {
  Fixture f;
  f.driver->pump();
  auto ring = f.hostile();
  ring.push({ring::Kind::TRANSMIT, true, {16, 0, 10}, {}});
  ring.publish();
  f.driver->pump();
  CHECK(f.device.sent.size() == 0);
  ring.push({ring::Kind::TRANSMIT, false, {17, 0, 10}, {}});
  ring.publish();
  f.driver->pump();
  REQUIRE(f.device.sent.size() == 1);
  CHECK(f.device.sent[0].bytes.size() == 20);
}

TEST_CASE("a driver that breaks a rule makes the stack's end faulty, and nothing of its memory is believed") {
  struct Case {
    kj::StringPtr reason;
    kj::Function<void(RingProducer&)> attack;
  };
  auto received = [](BufferId id, bool more = false) { return RingEntry{ring::Kind::RECEIVED, more, {id, 0, 60}, {}}; };
  auto granted = [](BufferId id) { return RingEntry{ring::Kind::GRANTED, false, {id, 0, 0}, {}}; };
  auto cases =
      kj::arr(Case{"a frame in a receive buffer that the driver does not hold"_kj,
                   [&](auto& ring) { ring.push(received(3)), ring.push(received(3)); }},
              Case{"a frame in a receive buffer that the driver does not hold"_kj,
                   [&](auto& ring) { ring.push(received(3, true)), ring.push(received(3)); }},
              Case{"the grant of a transmit buffer that is granted already"_kj,
                   [&](auto& ring) { ring.push(granted(16)), ring.push(granted(16)); }},
              Case{"a granted buffer in the middle of a frame"_kj,
                   [&](auto& ring) { ring.push(received(3, true)), ring.push(granted(17)); }},
              Case{"a checksum position outside the frame"_kj,
                   [&](auto& ring) {
                     ring.push({ring::Kind::RECEIVED,
                                false,
                                {3, 0, 60},
                                {FrameMeta::NEEDS_CHECKSUM, FrameMeta::Gso::NONE, 0, 0, 34, 25}});
                   }},
              Case{"a buffer number that is none of this kind"_kj, [&](auto& ring) { ring.push(received(16)); }},
              Case{"a descriptor kind that belongs to the other ring"_kj,
                   [&](auto& ring) { ring.push({ring::Kind::TRANSMIT, false, {16, 0, 60}, {}}); }});
  for (auto& c : cases) {
    INFO(std::string(c.reason.cStr()));
    Fixture f;
    f.receiver.keep = true;
    auto ring = RingProducer(f.driverRings.bytes(), RingDirection::TO_STACK, GEOMETRY);
    c.attack(ring);
    ring.publish();
    f.stack->poll(f.receiver);
    CHECK(f.stack->fault() == c.reason);
    CHECK(f.stack->poll(f.receiver) == 0);
    CHECK_FALSE(f.send(frameOf(60, 1)));
    f.receiver.kept.clear();  // what was delivered before is still released in peace
  }
}

TEST_CASE("pieces released after the end, and after the port is gone, are still readable and leak nothing") {
  Fixture f;
  f.receiver.keep = true;
  f.settle();
  auto frame = frameOf(1000, 5);
  f.device.inject(frame);
  f.device.inject(frame);
  f.settle();
  REQUIRE(f.receiver.kept.size() == 2);
  f.stack->end();
  f.stack = nullptr;
  f.driver = nullptr;
  CHECK((f.receiver.kept.front().bytes() == frame));
  f.receiver.kept.pop_front();
  CHECK((f.receiver.kept.front().bytes() == frame));
  f.receiver.kept.clear();
}

TEST_CASE("a device that breaks under an attachment ends the driver's loop as DISCONNECTED") {
  Fixture f;
  auto loop = f.driver->pumpLoop(f.device, [] {});
  CHECK_FALSE(loop.poll(f.io.waitScope));
  f.device.fail();
  auto failure = kj::runCatchingExceptions([&] { loop.wait(f.io.waitScope); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("a second user takes over the same device: frames still in flight come back as buffers of the new one") {
  Fixture f;
  f.device.completeAtOnce = false;
  f.settle();
  for (int i = 0; i < 5; i++) CHECK(f.send(frameOf(60, 1)));
  f.stack->flush();
  f.settle();
  f.stack->end();
  f.driver = nullptr;
  auto rings = SharedMemory::create("rings", ring::ringMemorySize(GEOMETRY.ringEntries()));
  auto bell = newDoorbell();
  RingDriverEnd next(f.loans, rings.bytes(), Doorbell(kj::mv(bell.ring)), f.toDriverBell);
  CHECK(f.loans.usersTransmitCount() == 11);
  f.device.complete();
  next.pump();
  CHECK(f.loans.usersTransmitCount() == 16);
}

// Descriptors as a hostile side may write them: mostly plausible, so that they get far, sometimes noise.
ring::RingDescriptor randomDescriptor(FixedEntropy& random) {
  ring::RingDescriptor d{};
  if (random.next() % 16 == 0) {
    random.fill(kj::arrayPtr(reinterpret_cast<kj::byte*>(&d), sizeof(d)));
    return d;
  }
  d.kind = static_cast<ring::Kind>(1 + random.next() % 4);
  d.flags = random.next() % 3 == 0;
  d.buffer = static_cast<uint32_t>(random.next() % 34);
  if (d.kind == ring::Kind::RECEIVED || d.kind == ring::Kind::TRANSMIT) {
    d.offset = static_cast<uint16_t>(random.next() % 1100);
    d.length = static_cast<uint16_t>(random.next() % 1100);
  }
  return d;
}

TEST_CASE("random descriptors in both rings, by seed: each side stays whole, faulty or not") {
  kj::uint faults = 0;
  for (uint64_t seed = 1; seed <= 300; seed++) {
    CAPTURE(seed);
    FixedEntropy random(seed);
    Fixture f;
    f.receiver.keep = seed % 2 == 0;
    f.settle();
    auto bytes = f.driverRings.bytes();
    for (int step = 0; step < 40; step++) {
      bool toStack = random.next() % 2;
      auto* header = reinterpret_cast<ring::RingHeader*>(bytes.begin() +
                                                         (toStack ? ring::TO_STACK_HEADER : ring::TO_DRIVER_HEADER));
      auto* entries = reinterpret_cast<ring::RingDescriptor*>(
          bytes.begin() + (toStack ? ring::TO_STACK_ENTRIES : ring::toDriverEntries(GEOMETRY.ringEntries())));
      for (uint64_t i = random.next() % 4; i > 0; i--) {
        entries[header->produced++ & (GEOMETRY.ringEntries() - 1)] = randomDescriptor(random);
      }
      if (random.next() % 64 == 0) header->produced = static_cast<uint32_t>(random.next());
      if (random.next() % 4 == 0) f.device.inject(frameOf(1 + random.next() % 3000, 1));
      if (random.next() % 4 == 0) f.send(frameOf(1 + random.next() % 3000, 1));
      if (random.next() % 4 == 0) f.receiver.kept.clear();
      f.driver->pump();
      f.stack->poll(f.receiver);
      f.stack->flush();
      if (f.driver->fault().size() > 0) break;
    }
    if (f.driver->fault().size() > 0) faults++;
    f.receiver.kept.clear();
    f.driver = nullptr;
    for (BufferId id = 0; id < GEOMETRY.total(); id++) REQUIRE_FALSE(f.loans.isUsers(id));
  }
  CHECK(faults > 200);  // the attack gets through to the checks
}

}  // namespace
}  // namespace nexus
