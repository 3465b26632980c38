#include "libs/nexus-net-os/frame/device-loans.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/fake-frame-device.h"

namespace nexus {
namespace {

constexpr BufferGeometry GEOMETRY{16, 16};

struct Fixture final : DeviceLoans::User {
  BufferPool pool = BufferPool::create(GEOMETRY);
  FakeFrameDevice device{pool};
  DeviceLoans loans{device, GEOMETRY};
  kj::Vector<BufferId> arrived, freed;

  void frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta&) override {
    for (auto& s : segments) arrived.add(s.buffer);
  }
  void transmitBufferFree(BufferId id) override { freed.add(id); }
};

TEST_CASE("the device is supplied with as many receive buffers as it takes, each once") {
  Fixture f;
  f.device.receiveSlots = 5;
  f.loans.flush();
  CHECK(f.device.provided.size() == 5);
  f.loans.flush();
  CHECK(f.device.provided.size() == 5);
  kj::byte frame[60] = {};
  f.device.inject(frame);
  f.loans.poll(f, 64);
  CHECK(f.arrived.size() == 1);
  CHECK(f.device.provided.size() == 5);  // a spare one went in its place
}

TEST_CASE("only the holder returns a buffer, and only once") {
  Fixture f;
  f.loans.flush();
  CHECK_THROWS(f.loans.giveBack(0));
  kj::byte frame[60] = {};
  f.device.inject(frame);
  f.loans.poll(f, 64);
  f.loans.giveBack(f.arrived[0]);
  CHECK_THROWS(f.loans.giveBack(f.arrived[0]));
  CHECK_THROWS(f.loans.giveBack(GEOMETRY.total()));
}

TEST_CASE("a frame may be sent only in transmit buffers that the user took") {
  Fixture f;
  FrameSegment notTaken{16, 0, 60};
  CHECK_THROWS(f.loans.transmit({notTaken}, {}));
  auto id = KJ_ASSERT_NONNULL(f.loans.takeAnySpare());
  CHECK(id == 16);
  CHECK_FALSE(f.loans.takeSpare(id));
  f.loans.transmit({FrameSegment{id, 0, 60}}, {});
  CHECK_THROWS(f.loans.transmit({FrameSegment{id, 0, 60}}, {}));
  f.loans.poll(f, 64);
  CHECK(f.freed.size() == 1);
  for (int i = 0; i < 16; i++) CHECK(f.loans.takeAnySpare() != nullptr);
  CHECK(f.loans.takeAnySpare() == nullptr);
  f.loans.giveBackAll();
  CHECK(f.loans.usersTransmitCount() == 0);
}

TEST_CASE("the budget bounds what one poll reports") {
  Fixture f;
  f.loans.flush();
  kj::byte frame[60] = {};
  for (int i = 0; i < 10; i++) f.device.inject(frame);
  CHECK(f.loans.poll(f, 4) == 4);
  CHECK(f.arrived.size() == 4);
  CHECK(f.loans.poll(f, 64) == 6);
}

}  // namespace
}  // namespace nexus
