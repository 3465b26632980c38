#include "libs/nexus-net-os/frame/frame-ring.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/function.h>

#include <string>

namespace nexus {
namespace {

constexpr BufferGeometry GEOMETRY{16, 16};

struct Fixture {
  SharedMemory memory = SharedMemory::create("rings", ring::ringMemorySize(GEOMETRY.ringEntries()));
  SharedMemory theirs = SharedMemory::map(memory.duplicateFd(), memory.bytes().size());

  RingProducer producer(RingDirection direction) { return RingProducer(memory.bytes(), direction, GEOMETRY); }
  RingConsumer consumer(RingDirection direction) { return RingConsumer(theirs.bytes(), direction, GEOMETRY); }

  // Raw access, as a hostile side has it.
  ring::RingHeader& toDriverHeader() {
    return *reinterpret_cast<ring::RingHeader*>(memory.bytes().begin() + ring::TO_DRIVER_HEADER);
  }
  ring::RingDescriptor& toDriverEntry(size_t index) {
    return reinterpret_cast<ring::RingDescriptor*>(memory.bytes().begin() +
                                                   ring::toDriverEntries(GEOMETRY.ringEntries()))[index];
  }
};

RingEntry frameIn(BufferId buffer, uint32_t offset = 0, uint32_t length = 60) {
  return {ring::Kind::TRANSMIT, false, {buffer, offset, length}, {}};
}

TEST_CASE("what is pushed is seen after it is published, in order, with every field") {
  Fixture f;
  auto producer = f.producer(RingDirection::TO_STACK);
  auto consumer = f.consumer(RingDirection::TO_STACK);
  RingEntry sent{
      ring::Kind::RECEIVED, true, {7, 12, 1514}, {FrameMeta::NEEDS_CHECKSUM, FrameMeta::Gso::TCP_V6, 1440, 74, 34, 16}};
  RingEntry got{};
  producer.push(sent);
  CHECK(consumer.take(got) == RingConsumer::Take::EMPTY);
  producer.publish();
  REQUIRE(consumer.take(got) == RingConsumer::Take::TAKEN);
  CHECK(got.kind == sent.kind);
  CHECK(got.more);
  CHECK(got.segment == sent.segment);
  CHECK(got.meta == sent.meta);
  CHECK(consumer.take(got) == RingConsumer::Take::EMPTY);
}

TEST_CASE("the ring holds every buffer at once, and goes round for longer than its index has bits to spare") {
  Fixture f;
  auto producer = f.producer(RingDirection::TO_DRIVER);
  auto consumer = f.consumer(RingDirection::TO_DRIVER);
  RingEntry got{};
  for (int round = 0; round < 1000; round++) {
    for (BufferId id = 0; id < 16; id++) producer.push({ring::Kind::RETURNED, false, {id, 0, 0}, {}});
    for (BufferId id = 16; id < 32; id++) producer.push(frameIn(id));
    producer.publish();
    for (BufferId id = 0; id < 32; id++) {
      REQUIRE(consumer.take(got) == RingConsumer::Take::TAKEN);
      REQUIRE(got.segment.buffer == id);
    }
    REQUIRE(consumer.take(got) == RingConsumer::Take::EMPTY);
  }
}

TEST_CASE("one doorbell per sleep: a consumer that is awake is not rung, one that sleeps is rung once") {
  Fixture f;
  auto producer = f.producer(RingDirection::TO_DRIVER);
  auto consumer = f.consumer(RingDirection::TO_DRIVER);
  RingEntry got{};
  producer.push(frameIn(16));
  CHECK_FALSE(producer.publishAndWake());
  CHECK_FALSE(consumer.prepareSleep());  // there is work
  CHECK(consumer.take(got) == RingConsumer::Take::TAKEN);
  CHECK(consumer.prepareSleep());
  producer.push(frameIn(17));
  CHECK(producer.publishAndWake());
  producer.push(frameIn(18));
  CHECK_FALSE(producer.publishAndWake());
  consumer.awake();
  CHECK(consumer.take(got) == RingConsumer::Take::TAKEN);
  CHECK(consumer.take(got) == RingConsumer::Take::TAKEN);
}

TEST_CASE("a descriptor with any field wrong is refused with a reason, and the ring stays refused") {
  struct Case {
    kj::StringPtr reason;
    kj::Function<void(ring::RingDescriptor&)> spoil;
  };
  auto cases = kj::arr(
      Case{"an unknown descriptor kind"_kj, [](auto& d) { d.kind = static_cast<ring::Kind>(0); }},
      Case{"an unknown descriptor kind"_kj, [](auto& d) { d.kind = static_cast<ring::Kind>(5); }},
      Case{"a descriptor kind that belongs to the other ring"_kj, [](auto& d) { d.kind = ring::Kind::RECEIVED; }},
      Case{"a descriptor kind that belongs to the other ring"_kj, [](auto& d) { d.kind = ring::Kind::GRANTED; }},
      Case{"a buffer number that is none of this kind"_kj, [](auto& d) { d.buffer = 15; }},
      Case{"a buffer number that is none of this kind"_kj, [](auto& d) { d.buffer = 32; }},
      Case{"a buffer number that is none of this kind"_kj, [](auto& d) { d.buffer = 0xffffffff; }},
      Case{"a buffer number that is none of this kind"_kj, [](auto& d) { d.kind = ring::Kind::RETURNED; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.length = 0; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.length = 2049; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.length = 0xffff; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.offset = 2048; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.offset = 0xffff, d.length = 1; }},
      Case{"an offset or length outside the buffer"_kj, [](auto& d) { d.offset = 1, d.length = 2048; }},
      Case{"an unknown flag"_kj, [](auto& d) { d.flags = 2; }},
      Case{"an unknown metadata flag"_kj, [](auto& d) { d.metaFlags = 4; }},
      Case{"an unknown segmentation type"_kj, [](auto& d) { d.gso = 2; }},
      Case{"an unknown segmentation type"_kj, [](auto& d) { d.gso = 0x81; }},
      Case{"a reserved field that is not zero"_kj, [](auto& d) { d.reserved[0] = 1; }},
      Case{"a reserved field that is not zero"_kj, [](auto& d) { d.reserved[11] = 1; }},
      Case{"a frame where only a buffer changes hands"_kj,
           [](auto& d) { d.kind = ring::Kind::RETURNED, d.buffer = 1; }});
  for (auto& c : cases) {
    INFO(std::string(c.reason.cStr()));
    Fixture f;
    auto producer = f.producer(RingDirection::TO_DRIVER);
    auto consumer = f.consumer(RingDirection::TO_DRIVER);
    producer.push(frameIn(16));
    producer.push(frameIn(17));
    c.spoil(f.toDriverEntry(0));
    producer.publish();
    RingEntry got{};
    CHECK(consumer.take(got) == RingConsumer::Take::BAD);
    CHECK(consumer.fault() == c.reason);
    CHECK(consumer.take(got) == RingConsumer::Take::BAD);
  }
}

TEST_CASE("an index that jumps, backwards or further than the ring is long, is refused") {
  for (uint32_t jump : {33u, 0x80000000u, 0xffffffffu}) {
    Fixture f;
    auto consumer = f.consumer(RingDirection::TO_DRIVER);
    f.toDriverHeader().produced = jump;
    RingEntry got{};
    CHECK(consumer.take(got) == RingConsumer::Take::BAD);
    CHECK(consumer.fault() == "a ring index that jumps"_kj);
  }
}

TEST_CASE("a consumer that scribbles over its sleep flag costs the producer nothing but doorbells") {
  Fixture f;
  auto producer = f.producer(RingDirection::TO_DRIVER);
  for (uint32_t flag : {2u, 0xffffffffu}) {
    f.toDriverHeader().consumerSleeps = flag;
    producer.push(frameIn(16));
    CHECK(producer.publishAndWake());
    CHECK(f.toDriverHeader().consumerSleeps == 0);
  }
  f.toDriverHeader().produced = 99;  // the producer keeps its own count
  producer.publish();
  CHECK(f.toDriverHeader().produced == 2);
}

TEST_CASE("the control page says the geometry; a wrong one is refused field by field") {
  Fixture f;
  auto bytes = f.memory.bytes();
  writeRingControl(bytes, GEOMETRY);
  CHECK(readRingControl(f.theirs.bytes()) == GEOMETRY);
  auto spoil = [&](size_t offset, uint32_t value) {
    writeRingControl(bytes, GEOMETRY);
    memcpy(bytes.begin() + offset, &value, sizeof(value));
    CHECK_THROWS(readRingControl(bytes));
  };
  spoil(offsetof(ring::RingControl, magic), 0);
  spoil(offsetof(ring::RingControl, version), 2);
  spoil(offsetof(ring::RingControl, bufferSize), 4096);
  spoil(offsetof(ring::RingControl, receiveBuffers), 0);
  spoil(offsetof(ring::RingControl, receiveBuffers), 17);
  spoil(offsetof(ring::RingControl, receiveBuffers), 0x80000000);
  spoil(offsetof(ring::RingControl, transmitBuffers), 32);  // valid, but not of this size
  spoil(offsetof(ring::RingControl, entries), 16);
  spoil(offsetof(ring::RingControl, reserved), 1);
  writeRingControl(bytes, GEOMETRY);
  CHECK_THROWS(readRingControl(bytes.slice(0, bytes.size() - 4096)));
  CHECK_THROWS(readRingControl(bytes.slice(0, 16)));
}

TEST_CASE("metadata that points outside the frame is a fault") {
  FrameMeta none;
  CHECK(findMetaFault(none, 14) == nullptr);
  FrameMeta sum{FrameMeta::NEEDS_CHECKSUM, FrameMeta::Gso::NONE, 0, 0, 34, 16};
  CHECK(findMetaFault(sum, 52) == nullptr);
  CHECK(findMetaFault(sum, 51) != nullptr);
  sum.csumStart = sum.csumOffset = 0xffff;
  CHECK(findMetaFault(sum, 0x10000) != nullptr);
  FrameMeta gso{0, FrameMeta::Gso::TCP_V4, 1448, 54, 0, 0};
  CHECK(findMetaFault(gso, 54) == nullptr);
  CHECK(findMetaFault(gso, 53) != nullptr);
  gso.gsoSize = 0;
  CHECK(findMetaFault(gso, 1000) != nullptr);
}

}  // namespace
}  // namespace nexus
