#include "libs/nexus-net-os/virtio/fake-transport.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus {

// FakeInterrupt ----

class FakeInterrupt::Source final : public InterruptSource {
 public:
  explicit Source(FakeInterrupt& parent) : parent(parent) {}

  kj::Promise<void> whenFired() override {
    if (parent.pending) return kj::READY_NOW;
    auto paf = kj::newPromiseAndFulfiller<void>();
    parent.waiter = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  bool take() override { return kj::mv(parent.pending) ? (parent.pending = false, true) : false; }

 private:
  FakeInterrupt& parent;
};

void FakeInterrupt::fire() {
  fires++;
  pending = true;
  KJ_IF_MAYBE (f, waiter) (*f)->fulfill();
  waiter = nullptr;
}

kj::Own<InterruptSource> FakeInterrupt::source() {
  return kj::heap<Source>(*this);
}

// The honest device ----

VirtioInterrupts FakeTransport::interrupts() {
  return {configInterrupt.source(), receiveInterrupt.source(), transmitInterrupt.source()};
}

bool FakeTransport::deliver(kj::ArrayPtr<const kj::byte> frame) {
  auto& rx = queue(virtio::RECEIVE_QUEUE);
  struct Piece {
    uint16_t head;
    uint32_t written;
  };
  kj::Vector<Piece> pieces;
  virtio::NetHeader header{};
  kj::Maybe<kj::ArrayPtr<kj::byte>> headerPlace;
  size_t done = 0;
  do {
    // An honest device cannot give back what it has popped and does not use, so look first.
    KJ_IF_MAYBE (chain, rx.pop()) {
      auto room = chain->writable[0];
      uint32_t used = 0;
      if (pieces.empty()) {
        headerPlace = room.slice(0, sizeof(header));
        used = sizeof(header);
      }
      size_t n = kj::min(room.size() - used, frame.size() - done);
      memcpy(room.begin() + used, frame.begin() + done, n);
      done += n;
      pieces.add(Piece{chain->head, static_cast<uint32_t>(used + n)});
    } else {
      break;
    }
  } while (done < frame.size());
  if (pieces.empty()) return false;

  header.numBuffers = pieces.size();
  memcpy(KJ_ASSERT_NONNULL(headerPlace).begin(), &header, sizeof(header));
  for (auto& piece : pieces) rx.use(piece.head, piece.written);
  publishUsed(virtio::RECEIVE_QUEUE);
  return done == frame.size();
}

kj::Vector<kj::Array<kj::byte>> FakeTransport::collect() {
  auto& tx = queue(virtio::TRANSMIT_QUEUE);
  kj::Vector<kj::Array<kj::byte>> frames;
  for (;;) {
    KJ_IF_MAYBE (chain, tx.pop()) {
      kj::Vector<kj::byte> bytes;
      for (auto& piece : chain->readable) bytes.addAll(piece);
      KJ_ASSERT(bytes.size() >= sizeof(virtio::NetHeader));
      frames.add(kj::heapArray(bytes.asPtr().slice(sizeof(virtio::NetHeader), bytes.size())));
      tx.use(chain->head, 0);
    } else {
      break;
    }
  }
  publishUsed(virtio::TRANSMIT_QUEUE);
  return frames;
}

void FakeTransport::setLink(bool up) {
  linkUp = up;
  generation++;
  configInterrupt.fire();
}

// The other device ----

VirtqDevice& FakeTransport::queue(uint16_t index) {
  return *KJ_REQUIRE_NONNULL(queues[index], "the driver has not enabled this queue", index);
}

void FakeTransport::publishUsed(uint16_t index) {
  if (queue(index).publish()) (index == virtio::RECEIVE_QUEUE ? receiveInterrupt : transmitInterrupt).fire();
}

void FakeTransport::needReset() {
  status |= virtio::status::NEEDS_RESET;
  configInterrupt.fire();
}

// implements VirtioTransport ----

uint8_t FakeTransport::readStatus() {
  if (traits.gone) return 0xff;
  if (resetReadsLeft > 0) return resetReadsLeft--, virtio::status::FAILED;
  return status;
}

void FakeTransport::writeStatus(uint8_t value) {
  if (value == virtio::status::RESET) {
    resets++;
    resetReadsLeft = traits.resetReads;
    driverFeatures = 0;
    for (auto& q : queues) q = nullptr;
  }
  if (traits.refusesFeatures) value &= ~virtio::status::FEATURES_OK;
  status = value;
}

bool FakeTransport::enableQueue(uint16_t queue, uint16_t size, const virtio::VirtqAddresses& at, uint16_t vector) {
  KJ_REQUIRE(queue < 2 && size <= traits.maxQueueSize[queue], "the driver enables a queue that is not there", queue,
             size);
  sizes[queue] = size;
  queues[queue] = kj::heap<VirtqDevice>(size, at, dma, driverFeatures & virtio::feature::RING_EVENT_IDX);
  return vector != traits.refusedVector;
}

void FakeTransport::readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) {
  virtio::NetConfig config{};
  memcpy(config.mac, traits.mac.bytes.data(), sizeof(config.mac));
  config.status = linkUp ? virtio::NetConfig::LINK_UP : 0;
  KJ_REQUIRE(offset + out.size() <= sizeof(config), "the driver reads configuration that does not exist", offset,
             out.size());
  memcpy(out.begin(), reinterpret_cast<const kj::byte*>(&config) + offset, out.size());
}

uint8_t FakeTransport::configGeneration() {
  return traits.configMoves ? generation++ : generation;
}

}  // namespace nexus
