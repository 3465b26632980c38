#include "libs/nexus-net-os/virtio/virtq.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <optional>
#include <set>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/virtio/test-memory.h"
#include "libs/nexus-net-os/virtio/virtq-device.h"

namespace nexus {
namespace {

constexpr uint64_t RING_IOVA = 0x10000;
constexpr uint64_t DATA_IOVA = 0x800000;
constexpr uint32_t PIECE = 64;

struct Fixture {
  explicit Fixture(uint16_t size = 8, bool eventIdx = true)
      : rings(Virtq::memorySize(size), RING_IOVA), data(PIECE * 256, DATA_IOVA), driver(size, rings.span(), eventIdx) {
    dma.map(rings.span());
    dma.map(data.span());
    device.emplace(size, driver.addresses(), dma, eventIdx);
  }

  TestMemory rings, data;
  DmaMap dma;
  Virtq driver;
  std::optional<VirtqDevice> device;

  // A chain of `count` pieces, the last of them writable. Returns its head.
  kj::Maybe<uint16_t> offer(size_t count = 1, uint32_t writable = PIECE) {
    kj::Vector<Virtq::Element> chain;
    for (size_t i = 0; i < count; i++) chain.add(Virtq::Element{DATA_IOVA + i * PIECE, PIECE, false});
    chain.back().length = writable;
    chain.back().deviceWrites = true;
    uint16_t head = driver.nextHead();
    if (!driver.offer(chain)) return nullptr;
    return head;
  }

  uint16_t offerAndPublish(size_t count = 1) {
    auto head = KJ_ASSERT_NONNULL(offer(count));
    (void)driver.publish();
    return head;
  }

  // The device takes everything and gives it back with `written` bytes each.
  void echo(uint32_t written = 1) {
    for (;;) {
      KJ_IF_MAYBE (chain, device->pop()) {
        device->use(chain->head, written);
      } else {
        break;
      }
    }
    (void)device->publish();
  }
};

TEST_CASE("a chain travels to the device and back") {
  Fixture f;
  auto head = KJ_ASSERT_NONNULL(f.offer(3, 40));
  CHECK(f.device->available() == 0);  // not visible before publish()
  CHECK(f.driver.publish());          // the device asked to be told
  auto chain = KJ_ASSERT_NONNULL(f.device->pop());
  CHECK(chain.head == head);
  REQUIRE(chain.readable.size() == 2);
  REQUIRE(chain.writable.size() == 1);
  CHECK(chain.writable[0].size() == 40);
  CHECK(chain.writable[0].begin() == f.data.span().bytes().begin() + 2 * PIECE);

  CHECK(f.driver.take() == nullptr);
  f.device->use(head, 40);
  (void)f.device->publish();
  CHECK(f.driver.ready());
  auto used = KJ_ASSERT_NONNULL(f.driver.take());
  CHECK(used.head == head);
  CHECK(used.written == 40);
  CHECK(f.driver.take() == nullptr);
  CHECK(f.driver.fault() == nullptr);
  CHECK(f.driver.outstandingDescriptors() == 0);
}

TEST_CASE("a queue takes as many descriptors as it has, and no more") {
  for (uint16_t size : {1, 2, 8, 256}) {
    CAPTURE(size);
    Fixture f(size);
    for (uint16_t i = 0; i < size; i++) CHECK(f.offer() != nullptr);
    CHECK(f.offer() == nullptr);
    CHECK(f.driver.outstandingDescriptors() == size);
    (void)f.driver.publish();
    f.echo();
    kj::uint back = 0;
    while (f.driver.take() != nullptr) back++;
    CHECK(back == size);
    CHECK(f.offer() != nullptr);
  }
}

TEST_CASE("a chain that is too long for what is free takes nothing") {
  Fixture f(8);
  CHECK(f.offer(6) != nullptr);
  CHECK(f.offer(3) == nullptr);
  CHECK(f.driver.outstandingDescriptors() == 6);
  CHECK(f.offer(2) != nullptr);
}

TEST_CASE("indexes wrap at 65536 without losing a chain") {
  for (bool eventIdx : {true, false}) {
    Fixture f(8, eventIdx);
    for (int i = 0; i < 70000; i++) {
      f.offerAndPublish(1 + i % 3);
      f.echo();
      REQUIRE(f.driver.take() != nullptr);
    }
    CHECK(f.driver.fault() == nullptr);
    CHECK(f.driver.outstandingDescriptors() == 0);
  }
}

TEST_CASE("chains used out of order come back in the device's order") {
  Fixture f;
  auto first = f.offerAndPublish(2), second = f.offerAndPublish(3);
  (void)f.device->pop();
  (void)f.device->pop();
  f.device->use(second, 0);
  f.device->use(first, 0);
  (void)f.device->publish();
  CHECK(KJ_ASSERT_NONNULL(f.driver.take()).head == second);
  CHECK(KJ_ASSERT_NONNULL(f.driver.take()).head == first);
  for (int i = 0; i < 8; i++) CHECK(f.offer() != nullptr);
}

TEST_CASE("no used element crosses a page") {
  // Why: see Layout in virtq.c++.
  for (uint16_t size = 1; size <= Virtq::MAX_SIZE; size *= 2) {
    CAPTURE(size);
    CHECK(Virtq::memorySize(size) % Virtq::PAGE == 0);
    Fixture f(size);
    auto at = f.driver.addresses();
    CHECK(at.descriptors % 16 == 0);
    CHECK(at.avail % 2 == 0);
    CHECK(at.used % 4 == 0);
    uint64_t end = at.used + sizeof(virtio::VirtqUsed) + sizeof(virtio::VirtqUsedElem) * size;
    CHECK(at.used / Virtq::PAGE == (end - 1) / Virtq::PAGE);
    CHECK(end + 2 <= RING_IOVA + Virtq::memorySize(size));
  }
}

TEST_CASE("sizes that are no power of two or beyond the bound are refused") {
  TestMemory memory(1 << 20, RING_IOVA);
  for (uint16_t size : {0, 3, 255, 512}) CHECK_THROWS(Virtq(size, memory.span(), true));
  CHECK_THROWS(Virtq(8, memory.span().slice(0, Virtq::PAGE - 1), true));
  CHECK_THROWS(Virtq(8, memory.span().slice(16, 1 << 20), true));
}

// Notifications and interrupts ----

TEST_CASE("with EVENT_IDX the device is told once per batch, and only if it asked") {
  Fixture f;
  (void)f.offer();
  (void)f.offer();
  CHECK(f.driver.publish());
  CHECK_FALSE(f.driver.publish());  // nothing new
  (void)f.offer();
  CHECK_FALSE(f.driver.publish());  // it has not looked yet, so it has not asked again
  while (f.device->pop() != nullptr) {
  }
  (void)f.offer();
  CHECK(f.driver.publish());
}

TEST_CASE("without EVENT_IDX the flags decide") {
  Fixture f(8, false);
  (void)f.offer();
  CHECK(f.driver.publish());
  kj::byte noNotify = virtio::VirtqUsed::NO_NOTIFY;
  f.device->rawBytes(kj::arrayPtr(&noNotify, 1), 0);
  (void)f.offer();
  CHECK_FALSE(f.driver.publish());

  f.driver.disarm();
  auto use = [&]() {
    auto chain = KJ_ASSERT_NONNULL(f.device->pop());
    f.device->use(chain.head, 0);
    return f.device->publish();
  };
  CHECK_FALSE(use());
  CHECK(f.driver.take() != nullptr);
  CHECK_FALSE(f.driver.arm());
  CHECK(use());
}

TEST_CASE("arming says so when the event has happened already") {
  for (bool eventIdx : {true, false}) {
    Fixture f(8, eventIdx);
    for (int i = 0; i < 4; i++) f.offerAndPublish();
    CHECK_FALSE(f.driver.arm());
    f.echo();
    CHECK(f.driver.arm());
    CHECK(f.driver.arm(3));
    CHECK_FALSE(f.driver.arm(4));
  }
}

TEST_CASE("with EVENT_IDX an interrupt comes after as many chains as were asked for") {
  Fixture f;
  for (int i = 0; i < 6; i++) f.offerAndPublish();
  CHECK_FALSE(f.driver.arm(2));
  auto use = [&]() {
    auto chain = KJ_ASSERT_NONNULL(f.device->pop());
    f.device->use(chain.head, 0);
    return f.device->publish();
  };
  CHECK_FALSE(use());
  CHECK_FALSE(use());
  CHECK(use());
  CHECK_FALSE(use());
}

// The device lies ----

DeviceFault faultOf(Fixture& f) {
  CHECK(f.driver.take() == nullptr);
  auto fault = KJ_ASSERT_NONNULL(f.driver.fault());
  // It stays broken, whatever the device does next.
  CHECK(f.driver.take() == nullptr);
  CHECK_FALSE(f.driver.ready());
  return fault;
}

TEST_CASE("a used index that jumps breaks the queue") {
  for (uint16_t jump : {3, 9, 32767, 65535}) {
    Fixture f;
    f.offerAndPublish();
    f.offerAndPublish();
    f.device->rawUsedIndex(jump);
    CHECK(faultOf(f) == DeviceFault::USED_INDEX_JUMP);
  }
}

TEST_CASE("a used index may announce exactly what is outstanding") {
  Fixture f;
  auto first = f.offerAndPublish(), second = f.offerAndPublish();
  f.device->rawElement(0, first, 0);
  f.device->rawElement(1, second, 0);
  f.device->rawUsedIndex(2);
  CHECK(f.driver.take() != nullptr);
  CHECK(f.driver.take() != nullptr);
  CHECK(f.driver.fault() == nullptr);
}

TEST_CASE("an id outside the table breaks the queue") {
  for (uint32_t id : {8u, 256u, 65536u, 0xffffffffu}) {
    Fixture f;
    f.offerAndPublish();
    f.device->rawElement(0, id, 0);
    f.device->rawUsedIndex(1);
    CHECK(faultOf(f) == DeviceFault::ID_OUT_OF_RANGE);
  }
}

TEST_CASE("an id that is not outstanding breaks the queue") {
  SUBCASE("never lent") {
    Fixture f;
    f.offerAndPublish();
    f.device->rawElement(0, 5, 0);
    f.device->rawUsedIndex(1);
    CHECK(faultOf(f) == DeviceFault::ID_NOT_OUTSTANDING);
  }
  SUBCASE("in the middle of a chain") {
    Fixture f;
    auto head = f.offerAndPublish(3);
    f.device->rawElement(0, head + 1, 0);
    f.device->rawUsedIndex(1);
    CHECK(faultOf(f) == DeviceFault::ID_NOT_OUTSTANDING);
  }
  SUBCASE("used twice") {
    Fixture f;
    auto head = f.offerAndPublish();
    f.offerAndPublish();
    f.device->rawElement(0, head, 0);
    f.device->rawElement(1, head, 0);
    f.device->rawUsedIndex(2);
    CHECK(f.driver.take() != nullptr);
    CHECK(faultOf(f) == DeviceFault::ID_NOT_OUTSTANDING);
  }
  SUBCASE("offered but not yet published") {
    Fixture f;
    f.offerAndPublish();
    auto secret = KJ_ASSERT_NONNULL(f.offer());
    f.device->rawElement(0, secret, 0);
    f.device->rawUsedIndex(1);
    CHECK(faultOf(f) == DeviceFault::ID_NOT_OUTSTANDING);
  }
}

TEST_CASE("a length beyond the chain's writable bytes breaks the queue") {
  Fixture f;
  auto head = f.offerAndPublish(3);
  f.device->rawElement(0, head, PIECE);  // of three pieces one is writable
  f.device->rawUsedIndex(1);
  CHECK(f.driver.take() != nullptr);

  head = f.offerAndPublish(3);
  f.device->rawElement(1, head, PIECE + 1);
  f.device->rawUsedIndex(2);
  CHECK(faultOf(f) == DeviceFault::LENGTH_TOO_LARGE);
}

TEST_CASE("a descriptor table full of loops means nothing to the driver") {
  Fixture f;
  for (int round = 0; round < 20; round++) {
    auto head = f.offerAndPublish(4);
    (void)f.device->pop();
    // Every descriptor now points at itself, at memory that is not ours, with every flag.
    f.device->scribbleDescriptors({0xdead0000, 0xffffffff, 0xffff, static_cast<uint16_t>(round % 8)});
    f.device->use(head, PIECE);
    (void)f.device->publish();
    CHECK(KJ_ASSERT_NONNULL(f.driver.take()).head == head);
    CHECK(f.driver.outstandingDescriptors() == 0);
  }
  // The free list is whole: every descriptor once.
  std::set<uint16_t> heads;
  for (int i = 0; i < 8; i++) heads.insert(KJ_ASSERT_NONNULL(f.offer()));
  CHECK(heads.size() == 8);
  CHECK(f.offer() == nullptr);
}

TEST_CASE("the device side refuses a chain that loops, leaves the table or names unmapped memory") {
  Fixture f;
  SUBCASE("loop") {
    f.offerAndPublish(2);
    f.device->scribbleDescriptors({DATA_IOVA, PIECE, virtio::VirtqDesc::NEXT, 0});
    CHECK_THROWS((void)f.device->pop());
  }
  SUBCASE("outside the table") {
    f.offerAndPublish(2);
    f.device->scribbleDescriptors({DATA_IOVA, PIECE, virtio::VirtqDesc::NEXT, 8});
    CHECK_THROWS((void)f.device->pop());
  }
  SUBCASE("unmapped memory") {
    f.offerAndPublish(1);
    f.device->scribbleDescriptors({DATA_IOVA + 256 * PIECE - 1, 2, 0, 0});
    CHECK_THROWS((void)f.device->pop());
    CHECK(f.dma.faultCount() == 1);
  }
}

// Whatever a device writes into the used ring: chains come back at most once each, lengths stay within bounds, and
// nothing is lost or invented. A model keeps the books.
void hostileRun(uint64_t seed) {
  CAPTURE(seed);
  FixedEntropy random(seed);
  bool eventIdx = random.u32() % 2;
  Fixture f(8, eventIdx);
  std::set<uint16_t> lent;
  for (int step = 0; step < 200; step++) {
    switch (random.u32() % 8) {
      case 0:
      case 1:
        KJ_IF_MAYBE (head, f.offer(1 + random.u32() % 4)) {
          CHECK(*head < 8);
          CHECK(lent.insert(*head).second);
        }
        (void)f.driver.publish();
        break;
      case 2:
        f.device->rawElement(random.u32(), random.u32() % 12, random.u32() % (PIECE + 4));
        break;
      case 3:
        f.device->rawUsedIndex(f.device->usedIndex() + random.u32() % 3);
        break;
      case 4: {
        kj::byte noise[16];
        random.fill(noise);
        if (random.u32() % 16 == 0) f.device->rawBytes(noise, random.u32() % (f.device->usedBytes() - sizeof(noise)));
        break;
      }
      case 5:
        f.device->scribbleDescriptors(
            {random.next(), random.u32(), static_cast<uint16_t>(random.u32()), static_cast<uint16_t>(random.u32())});
        break;
      case 6:
        // Honest for once, so that runs get deep.
        if (!lent.empty()) {
          f.device->use(*lent.begin(), random.u32() % PIECE);
          (void)f.device->publish();
        }
        break;
      default:
        KJ_IF_MAYBE (used, f.driver.take()) {
          CHECK(lent.erase(used->head) == 1);
          CHECK(used->written <= PIECE);
        }
        (void)f.driver.arm(random.u32() % 3);
    }
    CHECK(f.driver.outstandingDescriptors() <= 8);
    CHECK(f.driver.outstandingChains() == lent.size());
  }
}

TEST_CASE("5000 hostile devices, by seed") {
  for (uint64_t seed = 1; seed <= 5000; seed++) hostileRun(seed);
}

}  // namespace
}  // namespace nexus
