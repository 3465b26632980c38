// What a hostile or broken device can do to the driver: each case ends in a counted fault and poll() failing as
// DISCONNECTED, and the same memory serves a new start. Meant to run under ASan as well.
#include <doctest/doctest.h>

#include <string>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/virtio/virtio-net-fixture.h"

namespace nexus {
namespace {

using Fixture = VirtioNetFixture;

// The device is found out: by poll() at once, or by whoever waits.
void expectFault(Fixture& f, DeviceFault fault) {
  CAPTURE(faultName(fault).cStr());
  auto& net = f.net();
  CHECK(net.whenReady().poll(f.clock.waitScope));
  auto failure = kj::runCatchingExceptions([&]() { f.poll(); });
  KJ_IF_MAYBE (e, failure) {
    CHECK(e->getType() == kj::Exception::Type::DISCONNECTED);
    CHECK(strstr(e->getDescription().cStr(), faultName(fault).cStr()) != nullptr);
  } else {
    FAIL("poll() did not notice");
  }
  CHECK(f.counters[fault] == 1);
  CHECK(f.counters.faultCount() == 1);
  // The device was told to stop, and nothing more is lent to it.
  CHECK(f.device.currentStatus() == virtio::status::RESET);
  CHECK_FALSE(net.linkState().up);
  CHECK(net.linkState().reason == faultName(fault));
  CHECK_FALSE(net.provide(500));
  FrameSegment segment{501, 0, 60};
  CHECK_FALSE(net.transmit(kj::arrayPtr(&segment, 1), {}));
  net.flush();
  CHECK(net.whenReady().poll(f.clock.waitScope));
  CHECK_THROWS((void)f.poll());
  CHECK(f.counters.faultCount() == 1);

  // A new start works.
  f.frames.clear();
  f.start();
  f.provide(4);
  CHECK(f.device.deliver(testFrame(60)));
  CHECK(f.poll() == 1);
  CHECK(f.frames.size() == 1);
}

// The device takes `count` receive buffers and reports them used with `written` bytes each, the first with this
// num_buffers.
void reportUsed(Fixture& f, uint16_t count, uint32_t written, uint16_t numBuffers) {
  auto& rx = f.device.queue(0);
  for (uint16_t i = 0; i < count; i++) {
    auto chain = KJ_ASSERT_NONNULL(rx.pop());
    if (i == 0) {
      virtio::NetHeader header{};
      header.numBuffers = numBuffers;
      memcpy(chain.writable[0].begin(), &header, sizeof(header));
    }
    rx.use(chain.head, written);
  }
  f.device.publishUsed(0);
}

TEST_CASE("a used index that jumps, on either queue") {
  for (uint16_t queue : {0, 1}) {
    for (uint16_t jump : {5, 257, 40000}) {
      Fixture f;
      f.start();
      f.provide(4);
      for (uint32_t i = 0; i < 4; i++) f.send(256 + i, testFrame(60));
      f.device.queue(queue).rawUsedIndex(jump);
      expectFault(f, DeviceFault::USED_INDEX_JUMP);
    }
  }
}

TEST_CASE("a used element with a bad id, on either queue") {
  struct Case {
    uint32_t id;
    DeviceFault fault;
  };
  for (uint16_t queue : {0, 1}) {
    for (auto c : {Case{256, DeviceFault::ID_OUT_OF_RANGE}, Case{0xffffffff, DeviceFault::ID_OUT_OF_RANGE},
                   Case{200, DeviceFault::ID_NOT_OUTSTANDING}}) {
      Fixture f;
      f.start();
      f.provide(4);
      f.send(256, testFrame(60));
      f.device.queue(queue).rawElement(0, c.id, 0);
      f.device.queue(queue).rawUsedIndex(1);
      expectFault(f, c.fault);
    }
  }
}

TEST_CASE("a received length beyond the buffer") {
  Fixture f;
  f.start();
  f.provide(4);
  reportUsed(f, 1, 2049, 1);
  expectFault(f, DeviceFault::LENGTH_TOO_LARGE);
}

TEST_CASE("bytes written to a transmitted frame") {
  Fixture f;
  f.start();
  f.send(256, testFrame(60));
  auto chain = KJ_ASSERT_NONNULL(f.device.queue(1).pop());
  f.device.queue(1).use(chain.head, 1);
  f.device.publishUsed(1);
  expectFault(f, DeviceFault::LENGTH_TOO_LARGE);
}

TEST_CASE("a received length shorter than the header") {
  for (uint32_t length : {0, 1, 11}) {
    Fixture f;
    f.start();
    f.provide(4);
    reportUsed(f, 1, length, 1);
    expectFault(f, DeviceFault::HEADER_TRUNCATED);
  }
}

TEST_CASE("num_buffers zero") {
  Fixture f;
  f.start();
  f.provide(4);
  reportUsed(f, 1, 100, 0);
  expectFault(f, DeviceFault::BUFFER_COUNT_ZERO);
}

TEST_CASE("num_buffers beyond what was used, posted, or allowed") {
  struct Case {
    uint16_t used, claimed;
  };
  for (auto c : {Case{1, 2}, Case{3, 4}, Case{4, 5}, Case{4, 18}, Case{20, 19}, Case{1, 0xffff}}) {
    CAPTURE(c.claimed);
    Fixture f;
    f.start();
    f.provide(32);
    reportUsed(f, c.used, 2048, c.claimed);
    expectFault(f, DeviceFault::BUFFER_COUNT_BEYOND);
  }
}

TEST_CASE("num_buffers above one without MRG_RXBUF") {
  Fixture f;
  f.device.traits.features &= ~virtio::feature::NET_MRG_RXBUF;
  f.start();
  f.provide(4);
  reportUsed(f, 2, 2048, 2);
  expectFault(f, DeviceFault::BUFFER_COUNT_BEYOND);
}

TEST_CASE("a merged frame with an empty piece") {
  SUBCASE("a further buffer") {
    Fixture f;
    f.start();
    f.provide(4);
    auto& rx = f.device.queue(0);
    auto first = KJ_ASSERT_NONNULL(rx.pop()), second = KJ_ASSERT_NONNULL(rx.pop());
    virtio::NetHeader header{};
    header.numBuffers = 2;
    memcpy(first.writable[0].begin(), &header, sizeof(header));
    rx.use(first.head, 2048);
    rx.use(second.head, 0);
    f.device.publishUsed(0);
    expectFault(f, DeviceFault::BUFFER_EMPTY);
  }
  SUBCASE("the first buffer") {
    Fixture f;
    f.start();
    f.provide(4);
    reportUsed(f, 2, 12, 2);
    expectFault(f, DeviceFault::BUFFER_EMPTY);
  }
}

TEST_CASE("the same buffer used twice") {
  Fixture f;
  f.start();
  f.provide(4);
  auto& rx = f.device.queue(0);
  auto chain = KJ_ASSERT_NONNULL(rx.pop());
  virtio::NetHeader header{};
  header.numBuffers = 1;
  memcpy(chain.writable[0].begin(), &header, sizeof(header));
  rx.use(chain.head, 100);
  rx.use(chain.head, 100);
  f.device.publishUsed(0);
  expectFault(f, DeviceFault::ID_NOT_OUTSTANDING);
  CHECK(f.frames.size() == 1);
}

TEST_CASE("DEVICE_NEEDS_RESET") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  f.device.needReset();
  CHECK(ready.poll(f.clock.waitScope));
  ready.wait(f.clock.waitScope);
  expectFault(f, DeviceFault::NEEDS_RESET);
}

TEST_CASE("a device that was reset in mid-flight, without a word, is noticed within the watch period") {
  Fixture f;
  auto& net = f.start();
  f.provide(4);
  f.send(256, testFrame(60));
  auto ready = net.whenReady();
  f.device.resetSilently();
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  auto before = f.clock.timer.now();
  f.clock.run(kj::mv(ready));
  CHECK(f.clock.timer.now() - before <= VirtioNet::WATCH_PERIOD);
  expectFault(f, DeviceFault::RESET_UNASKED);
}

TEST_CASE("a device that was removed is noticed within the watch period") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  f.device.traits.gone = true;
  f.clock.run(kj::mv(ready));
  f.device.traits.gone = false;  // put back for the new start
  expectFault(f, DeviceFault::GONE);
}

TEST_CASE("a configuration that never stands still after the handshake") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  f.device.traits.configMoves = true;
  f.device.configInterrupt.fire();
  CHECK(ready.poll(f.clock.waitScope));
  ready.wait(f.clock.waitScope);
  f.device.traits.configMoves = false;
  expectFault(f, DeviceFault::CONFIG_UNSTABLE);
}

TEST_CASE("a device that stays silent for ever holds nobody up") {
  Fixture f;
  auto& net = f.start();
  f.provide(4);
  for (uint32_t i = 0; i < 128; i++) CHECK(f.send(256 + i, testFrame(60)));
  CHECK_FALSE(f.send(400, testFrame(60)));
  auto ready = net.whenReady();
  f.clock.advance(1 * kj::HOURS);
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  CHECK(f.poll() == 0);
}

TEST_CASE("after a fault on one queue nothing is taken from the other") {
  Fixture f;
  f.start();
  f.provide(4);
  f.device.deliver(testFrame(3));  // a runt, whose buffer would go back to the device
  f.device.deliver(testFrame(60));
  f.device.queue(1).rawUsedIndex(9);
  expectFault(f, DeviceFault::USED_INDEX_JUMP);
  CHECK(f.counters.runtsDropped == 0);
  CHECK(f.counters.framesReceived == 1);  // of the new start
}

// A device that does anything at any time. The owner behaves; the books in the fixture catch a buffer that comes back
// twice or was never lent, and a segment outside its buffer. After a fault the driver starts anew and the run goes on.
class HostileRun {
 public:
  explicit HostileRun(uint64_t seed) : random(seed) {
    if (random.u32() % 4 == 0) f.device.traits.features &= ~virtio::feature::NET_MRG_RXBUF;
    if (random.u32() % 4 == 0) f.device.traits.features &= ~virtio::feature::RING_EVENT_IDX;
    f.device.traits.maxQueueSize[0] = 32 << random.u32() % 4;
    f.start();
  }

  void run(kj::uint steps) {
    for (kj::uint i = 0; i < steps; i++) {
      if (random.u32() % 2) {
        ownerStep();
      } else {
        deviceStep();
      }
    }
  }

  Fixture f;

 private:
  FixedEntropy random;

  void ownerStep() {
    auto& net = f.net();
    auto failure = kj::runCatchingExceptions([&]() {
      switch (random.u32() % 5) {
        case 0:
          for (uint32_t i = 0; i < 16; i++) {
            BufferId id = random.u32() % 256;
            if (f.inDevice.count(id) == 0) f.lend(id);
          }
          net.flush();
          break;
        case 1:
          f.send(256 + random.u32() % 256, testFrame(14 + random.u32() % 1500));
          break;
        case 2:
          (void)net.whenReady().poll(f.clock.waitScope);
          break;
        default:
          f.poll(1 + random.u32() % 32);
      }
    });
    KJ_IF_MAYBE (e, failure) {
      std::string what = kj::str(*e).cStr();
      CAPTURE(what);
      CHECK(e->getType() == kj::Exception::Type::DISCONNECTED);
      f.start();
      f.provide(16);
    }
  }

  void deviceStep() {
    // The device's own tools refuse nonsense that it made itself: the driver is under test, not they.
    (void)kj::runCatchingExceptions([&]() {
      auto& queue = f.device.queue(random.u32() % 2);
      switch (random.u32() % 12) {
        case 0:
          queue.rawElement(random.u32(), random.u32() % 300, random.u32() % 2100);
          break;
        case 1:
          queue.rawUsedIndex(queue.usedIndex() + random.u32() % 4);
          break;
        case 2:
          queue.scribbleDescriptors({random.next(), random.u32(), static_cast<uint16_t>(random.u32()),
                                     static_cast<uint16_t>(random.u32() % 256)});
          break;
        case 3:
          scribble();
          break;
        case 4:
          badHeader();
          break;
        case 5:
          f.device.setLink(random.u32() % 2);
          break;
        case 6:
          (random.u32() % 2 ? f.device.receiveInterrupt : f.device.configInterrupt).fire();
          break;
        case 7:
          if (random.u32() % 8 == 0) f.device.needReset();
          break;
        case 8:
          f.device.collect();
          break;
        default:
          f.device.deliver(testFrame(random.u32() % 4000));
      }
    });
  }

  // Noise somewhere in the memory that it can write, rings and buffers.
  void scribble() {
    auto bytes = (random.u32() % 2 ? f.rings : f.buffers).span().bytes();
    size_t start = random.u32() % bytes.size();
    random.fill(bytes.slice(start, kj::min(bytes.size(), start + 1 + random.u32() % 64)));
  }

  void badHeader() {
    auto& rx = f.device.queue(0);
    KJ_IF_MAYBE (chain, rx.pop()) {
      random.fill(chain->writable[0].slice(0, sizeof(virtio::NetHeader)));
      if (random.u32() % 2) chain->writable[0][11] = 0;  // num_buffers below 256
      rx.use(chain->head, random.u32() % 2060);
      f.device.publishUsed(0);
    }
  }
};

TEST_CASE("2000 devices that do anything at any time, by seed") {
  uint64_t frames = 0, faults = 0;
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    CAPTURE(seed);
    HostileRun run(seed);
    run.run(100);
    frames += run.f.counters.framesReceived;
    faults += run.f.counters.faultCount();
  }
  // The runs reach both worlds.
  CHECK(frames > 2000);
  CHECK(faults > 2000);
}

}  // namespace
}  // namespace nexus
