#include "libs/nexus-net-os/virtio/virtio-net.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/virtio/virtio-handshake.h"
#include "libs/nexus-net-os/virtio/virtio-net-fixture.h"

namespace nexus {
namespace {

namespace feature = virtio::feature;
namespace status = virtio::status;

constexpr uint8_t RUNNING = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;

using Fixture = VirtioNetFixture;

// Initialisation ----

TEST_CASE("the handshake agrees on what both sides have and brings the link up") {
  Fixture f;
  f.device.traits.features |= uint64_t{1} << 17 | uint64_t{1} << 28;  // CTRL_VQ, INDIRECT_DESC: not ours
  auto& net = f.start();
  CHECK(f.device.currentStatus() == RUNNING);
  uint64_t all = feature::NET_MAC | feature::NET_STATUS | feature::NET_MRG_RXBUF | feature::RING_EVENT_IDX |
                 feature::VERSION_1 | feature::ACCESS_PLATFORM;
  CHECK(f.device.acceptedFeatures() == all);
  CHECK(net.features() == all);
  CHECK(net.macAddress() == f.device.traits.mac);
  CHECK(net.linkState().up);
  CHECK(f.device.enabledSize(0) == 256);
  CHECK(f.counters.initialisations == 1);
}

TEST_CASE("queues are as large as the device allows, in powers of two, at most 256") {
  struct Case {
    uint16_t offered, expected;
  };
  for (auto c : {Case{32, 32}, Case{33, 32}, Case{64, 64}, Case{255, 128}, Case{256, 256}, Case{1024, 256}}) {
    CAPTURE(c.offered);
    Fixture f;
    f.device.traits.maxQueueSize[0] = c.offered;
    f.start();
    CHECK(f.device.enabledSize(0) == c.expected);
    CHECK(f.device.enabledSize(1) == 256);
  }
}

TEST_CASE("a device that cannot be used fails the handshake, says what is missing, and is counted") {
  Fixture f;
  kj::StringPtr expected;
  SUBCASE("no IOMMU support") {
    f.device.traits.features &= ~feature::ACCESS_PLATFORM;
    expected = "iommu_platform=on"_kj;
  }
  SUBCASE("legacy") {
    f.device.traits.features &= ~feature::VERSION_1;
    expected = "VERSION_1"_kj;
  }
  SUBCASE("no address") {
    f.device.traits.features &= ~feature::NET_MAC;
    expected = "MAC"_kj;
  }
  SUBCASE("its own features refused") {
    f.device.traits.refusesFeatures = true;
    expected = "refuses the features"_kj;
  }
  SUBCASE("a reset that never ends") {
    f.device.traits.resetReads = 1000000;
    expected = "does not reset"_kj;
  }
  SUBCASE("removed") {
    f.device.traits.gone = true;
    expected = "does not reset"_kj;
  }
  SUBCASE("no transmit queue") {
    f.device.traits.maxQueueSize[1] = 0;
    expected = "missing or too small"_kj;
  }
  SUBCASE("a queue too small for a frame") {
    f.device.traits.maxQueueSize[0] = 31;
    expected = "missing or too small"_kj;
  }
  SUBCASE("no vector for configuration changes") {
    f.device.traits.refusedVector = 0;
    expected = "three interrupt vectors"_kj;
  }
  SUBCASE("no vector for a queue") {
    f.device.traits.refusedVector = 2;
    expected = "three interrupt vectors"_kj;
  }
  SUBCASE("a multicast address as its own") {
    f.device.traits.mac.bytes[0] = 1;
    expected = "multicast"_kj;
  }
  SUBCASE("a configuration that never stands still") {
    f.device.traits.configMoves = true;
    expected = "stands still"_kj;
  }
  auto failure = kj::runCatchingExceptions([&]() { f.start(); });
  CHECK(strstr(KJ_ASSERT_NONNULL(failure).getDescription().cStr(), expected.cStr()) != nullptr);
  CHECK(f.counters[DeviceFault::HANDSHAKE] == 1);
  CHECK(f.counters.initialisations == 0);
  CHECK((f.device.currentStatus() & status::DRIVER_OK) == 0);
  CHECK((f.device.currentStatus() & status::FAILED) != 0);
}

TEST_CASE("a reset that takes a while is waited for") {
  Fixture f;
  f.device.traits.resetReads = 100;
  auto before = f.clock.timer.now();
  f.start();
  CHECK(f.clock.timer.now() - before == 100 * RESET_PERIOD);
}

TEST_CASE("the driver lets go of the device at its end, and a new one starts on the same memory") {
  Fixture f;
  f.start();
  f.provide(16);
  f.driver = nullptr;
  CHECK(f.device.currentStatus() == status::RESET);
  CHECK_THROWS(f.device.queue(0));
  f.start();
  f.provide(16);
  CHECK(f.device.deliver(testFrame(60)));
  CHECK(f.poll() == 1);
  CHECK(f.counters.initialisations == 2);
}

// Frames ----

TEST_CASE("a received frame lies behind its header, in the buffer that was lent") {
  Fixture f;
  auto& net = f.start();
  CHECK(f.lend(7));
  net.flush();
  auto frame = testFrame(1514);
  CHECK(f.device.deliver(frame));
  struct Events final : FrameDevice::Events {
    kj::Vector<FrameSegment> segments;
    void received(kj::ArrayPtr<const FrameSegment> s, const FrameMeta&) override { segments.addAll(s); }
    void transmitted(BufferId) override {}
  } events;
  CHECK(net.poll(events, 64) == 1);
  REQUIRE(events.segments.size() == 1);
  CHECK(events.segments[0] == FrameSegment{7, 12, 1514});
  CHECK(f.bufferBytes(7).slice(12, 12 + 1514) == frame.asPtr());
  CHECK(f.counters.framesReceived == 1);
  CHECK(f.counters.bytesReceived == 1514);
}

TEST_CASE("a frame longer than a buffer arrives merged, in order") {
  Fixture f;
  f.start();
  f.provide(18);
  size_t most = 18 * 2048 - 12;
  for (size_t size : {size_t{2036}, size_t{2037}, size_t{9000}, most}) {
    CAPTURE(size);
    auto frame = testFrame(size, size);
    CHECK(f.device.deliver(frame));
    CHECK(f.poll() == 1);
    CHECK(f.frames.back() == frame);
    for (uint32_t i = 0; i < 18; i++) {
      if (f.inDevice.count(i) == 0) CHECK(f.lend(i));
    }
    f.net().flush();
  }
}

TEST_CASE("a transmitted frame reaches the device behind an empty header, and its buffer comes back once") {
  Fixture f;
  auto& net = f.start();
  auto frame = testFrame(60);
  CHECK(f.send(300, frame));
  CHECK(f.device.notifyCount(1) == 1);
  auto sent = f.device.collect();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0] == frame);
  CHECK(f.poll() == 1);
  CHECK(f.done.asPtr() == kj::ArrayPtr<const BufferId>({300}));
  CHECK(f.poll() == 0);

  FrameSegment pieces[] = {{301, 10, 20}, {302, 0, 2048}, {303, 2047, 1}};
  for (auto& piece : pieces) memset(f.bufferBytes(piece.buffer).begin(), piece.buffer & 0xff, 2048);
  CHECK(net.transmit(pieces, {}));
  net.flush();
  sent = f.device.collect();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].size() == 2069);
  CHECK(sent[0][0] == (301 & 0xff));
  CHECK(sent[0][20] == (302 & 0xff));
  CHECK(sent[0][2068] == (303 & 0xff));
  CHECK(f.poll() == 1);
  CHECK(f.done.back() == 301);
  CHECK(f.dma.faultCount() == 0);
}

TEST_CASE("the header of a transmitted frame is all zero, whatever lay in the ring memory") {
  Fixture f;
  f.start();
  CHECK(f.send(300, testFrame(60)));
  auto chain = KJ_ASSERT_NONNULL(f.device.queue(1).pop());
  REQUIRE(chain.readable.size() == 2);
  REQUIRE(chain.readable[0].size() == sizeof(virtio::NetHeader));
  for (auto b : chain.readable[0]) CHECK(b == 0);
  CHECK(chain.writable.size() == 0);
}

TEST_CASE("the transmit queue refuses a frame when it is full, counts that, and takes again after poll") {
  Fixture f;
  f.start();
  auto frame = testFrame(60);
  for (uint32_t i = 0; i < 128; i++) CHECK(f.send(256 + i, frame));  // two descriptors each
  CHECK_FALSE(f.send(400, frame));
  CHECK(f.counters.transmitFull == 1);
  f.device.collect();
  CHECK(f.poll(1) == 1);
  CHECK(f.send(400, frame));
  CHECK_FALSE(f.send(401, frame));
}

TEST_CASE("the receive queue takes 256 buffers") {
  Fixture f;
  f.start();
  for (uint32_t i = 0; i < 256; i++) CHECK(f.lend(i));
  CHECK_FALSE(f.net().provide(256));
  f.net().flush();
  CHECK(f.device.deliver(testFrame(60)));
  CHECK(f.poll() == 1);
  CHECK(f.lend(256));
}

TEST_CASE("a frame without a buffer to lie in is the device's to drop") {
  Fixture f;
  f.start();
  CHECK_FALSE(f.device.deliver(testFrame(60)));
  CHECK(f.poll() == 0);
}

TEST_CASE("poll stops at its budget and loses nothing") {
  Fixture f;
  f.start();
  f.provide(10);
  for (kj::byte i = 0; i < 10; i++) CHECK(f.device.deliver(testFrame(60, i)));
  for (uint32_t i = 0; i < 10; i++) CHECK(f.send(256 + i, testFrame(60)));
  f.device.collect();
  size_t total = 0;
  while (auto n = f.poll(3)) {
    CHECK(n <= 3);
    total += n;
  }
  CHECK(total == 20);
  CHECK(f.frames.size() == 10);
  for (kj::byte i = 0; i < 10; i++) CHECK(f.frames[i] == testFrame(60, i));
}

TEST_CASE("a runt is dropped and counted, and its buffer serves again") {
  Fixture f;
  f.start();
  f.provide(1);
  for (size_t size : {0, 1, 13}) {
    CHECK(f.device.deliver(testFrame(size)));
    f.poll();
  }
  CHECK(f.frames.empty());
  CHECK(f.counters.runtsDropped == 3);
  CHECK(f.device.deliver(testFrame(14)));
  f.poll();
  CHECK(f.frames.size() == 1);
}

TEST_CASE("a caller's mistake is refused before the device sees it") {
  Fixture f;
  auto& net = f.start();
  CHECK(net.provide(3));
  CHECK_THROWS((void)net.provide(3));    // lent already
  CHECK_THROWS((void)net.provide(512));  // no such buffer
  auto refuse = [&](FrameSegment segment) { CHECK_THROWS((void)net.transmit(kj::arrayPtr(&segment, 1), {})); };
  refuse({512, 0, 60});
  refuse({300, 2048, 1});
  refuse({300, 0, 2049});
  refuse({300, 0xffffffff, 2});
  refuse({300, 60, 0});
  CHECK_THROWS((void)net.transmit(nullptr, {}));
  FrameSegment many[19];
  for (auto& segment : many) segment = {300, 0, 10};
  CHECK_THROWS((void)net.transmit(many, {}));
  CHECK(net.transmit(kj::arrayPtr(many, 18), {}));
  CHECK_THROWS((void)net.transmit(kj::arrayPtr(many, 1), FrameMeta{.flags = FrameMeta::NEEDS_CHECKSUM}));
}

TEST_CASE("one notification covers a batch") {
  Fixture f;
  auto& net = f.start();
  for (uint32_t i = 0; i < 32; i++) CHECK(f.lend(i));
  CHECK(f.device.notifyCount(0) == 0);
  net.flush();
  CHECK(f.device.notifyCount(0) == 1);
  net.flush();
  CHECK(f.device.notifyCount(0) == 1);
}

// Waiting ----

TEST_CASE("the driver waits until a frame arrives, and no longer") {
  Fixture f;
  auto& net = f.start();
  f.provide(4);
  for (int i = 0; i < 3; i++) {
    auto ready = net.whenReady();
    CHECK_FALSE(ready.poll(f.clock.waitScope));
    CHECK(f.device.deliver(testFrame(60)));
    CHECK(ready.poll(f.clock.waitScope));
    ready.wait(f.clock.waitScope);
    CHECK(f.poll() == 1);
  }
  CHECK(f.device.receiveInterrupt.fireCount() == 3);
}

TEST_CASE("a frame that arrived before the wait is not waited for") {
  for (bool eventIdx : {true, false}) {
    Fixture f;
    if (!eventIdx) f.device.traits.features &= ~feature::RING_EVENT_IDX;
    auto& net = f.start();
    f.provide(4);
    CHECK(f.device.deliver(testFrame(60)));
    CHECK(net.whenReady().poll(f.clock.waitScope));
    CHECK(f.poll() == 1);
    CHECK_FALSE(net.whenReady().poll(f.clock.waitScope));
  }
}

TEST_CASE("a wait that is given up loses nothing") {
  Fixture f;
  auto& net = f.start();
  f.provide(4);
  {
    auto ready = net.whenReady();
    CHECK_FALSE(ready.poll(f.clock.waitScope));
  }
  CHECK(f.device.deliver(testFrame(60)));
  f.device.setLink(false);
  CHECK(net.whenReady().poll(f.clock.waitScope));
  CHECK(f.poll() == 1);
  CHECK_FALSE(net.linkState().up);
}

TEST_CASE("an interrupt without a cause wakes nobody above") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  for (int i = 0; i < 100; i++) {
    f.device.receiveInterrupt.fire();
    f.device.transmitInterrupt.fire();
    f.device.configInterrupt.fire();
    CHECK_FALSE(ready.poll(f.clock.waitScope));
  }
}

TEST_CASE("completions raise an interrupt only when descriptors get scarce, at half of what is out") {
  Fixture f;
  auto& net = f.start();
  for (uint32_t i = 0; i < 10; i++) CHECK(f.send(256 + i, testFrame(60)));
  {
    auto ready = net.whenReady();
    CHECK_FALSE(ready.poll(f.clock.waitScope));
    f.device.collect();
  }
  CHECK(f.device.transmitInterrupt.fireCount() <= 1);  // the very first element of a ring may
  f.poll();

  auto before = f.device.transmitInterrupt.fireCount();
  for (uint32_t i = 0; i < 128; i++) CHECK(f.send(256 + i, testFrame(60)));
  CHECK_FALSE(f.send(400, testFrame(60)));
  auto ready = net.whenReady();
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  f.device.collect();
  CHECK(f.device.transmitInterrupt.fireCount() == before + 1);
  CHECK(ready.poll(f.clock.waitScope));
}

TEST_CASE("a link change is reported once") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  f.device.setLink(false);
  CHECK(ready.poll(f.clock.waitScope));
  auto state = net.linkState();
  CHECK_FALSE(state.up);
  CHECK(state.reason == "no carrier"_kj);
  CHECK(f.poll() == 0);
  CHECK_FALSE(net.whenReady().poll(f.clock.waitScope));
  f.device.setLink(true);
  CHECK(net.whenReady().poll(f.clock.waitScope));
  CHECK(net.linkState().up);
  CHECK(f.counters.linkChanges == 2);
}

TEST_CASE("a link that goes and comes back unseen is no change") {
  Fixture f;
  auto& net = f.start();
  auto ready = net.whenReady();
  CHECK_FALSE(ready.poll(f.clock.waitScope));
  f.device.setLink(false);
  f.device.setLink(true);
  CHECK_FALSE(ready.poll(f.clock.waitScope));
}

TEST_CASE("without STATUS the link counts as up") {
  Fixture f;
  f.device.traits.features &= ~feature::NET_STATUS;
  auto& net = f.start();
  CHECK(net.linkState().up);
}

}  // namespace
}  // namespace nexus
