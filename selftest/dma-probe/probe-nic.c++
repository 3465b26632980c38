#include "selftest/dma-probe/probe-nic.h"

#include <kj/debug.h>

#include <bit>
#include <cstring>

#include "libs/nexus-net-os/virtio/virtio-handshake.h"

namespace nexus {

namespace {

namespace feature = virtio::feature;
namespace status = virtio::status;
using virtio::NetHeader;

constexpr uint16_t RECEIVE_VECTOR = 1, TRANSMIT_VECTOR = 2;
constexpr size_t SLOT = 128;  // a header and a short frame

uint16_t queueSize(VirtioTransport& transport, uint16_t queue) {
  uint16_t offered = transport.maxQueueSize(queue);
  KJ_REQUIRE(offered > 1, "a queue of the device is missing", queue);
  return std::bit_floor(kj::min(offered, ProbeNic::QUEUE_SIZE));
}

}  // namespace

kj::Promise<kj::Own<ProbeNic>> ProbeNic::start(VirtioTransport& transport, InterruptSource& receiveInterrupt,
                                               const Pages& pages, kj::Timer& timer, bool confined) {
  auto copy = pages;
  uint64_t required = feature::VERSION_1 | feature::NET_MAC | (confined ? feature::ACCESS_PLATFORM : 0);
  co_await negotiateFeatures(transport, timer, required, 0);
  auto nic = kj::heap<ProbeNic>(transport, receiveInterrupt, copy, timer);
  transport.writeStatus(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
  co_return kj::mv(nic);
}

ProbeNic::ProbeNic(VirtioTransport& transport, InterruptSource& receiveInterrupt, const Pages& pages, kj::Timer& timer)
    : transport(transport),
      receiveInterrupt(receiveInterrupt),
      pages(pages),
      timer(timer),
      receiveQueue(queueSize(transport, virtio::RECEIVE_QUEUE), pages.receiveQueue, false),
      transmitQueue(queueSize(transport, virtio::TRANSMIT_QUEUE), pages.transmitQueue, false),
      lent(kj::heapArray<kj::Maybe<const DmaSpan&>>(receiveQueue.size())) {
  KJ_REQUIRE(
      transport.enableQueue(virtio::RECEIVE_QUEUE, receiveQueue.size(), receiveQueue.addresses(), RECEIVE_VECTOR) &&
          transport.enableQueue(virtio::TRANSMIT_QUEUE, transmitQueue.size(), transmitQueue.addresses(),
                                TRANSMIT_VECTOR),
      "the device does not take its interrupt vectors");
  transport.readConfig(offsetof(virtio::NetConfig, mac), kj::arrayPtr(mac.bytes.data(), mac.bytes.size()));
  transmitQueue.disarm();
}

ProbeNic::~ProbeNic() noexcept(false) {
  transport.writeStatus(status::RESET);
}

void ProbeNic::lendBuffers() {
  for (auto& span : pages.receiveData) {
    uint16_t head = receiveQueue.nextHead();
    Virtq::Element element{span.iova(), static_cast<uint32_t>(span.size()), true};
    if (!receiveQueue.offer(kj::arrayPtr(&element, 1))) break;
    lent[head] = span;
  }
  if (receiveQueue.publish()) transport.notify(virtio::RECEIVE_QUEUE);
}

void ProbeNic::lendForeign(uint64_t iova, uint32_t length) {
  uint16_t head = receiveQueue.nextHead();
  Virtq::Element element{iova, length, true};
  KJ_REQUIRE(receiveQueue.offer(kj::arrayPtr(&element, 1)), "the receive queue is full");
  lent[head] = nullptr;
  if (receiveQueue.publish()) transport.notify(virtio::RECEIVE_QUEUE);
}

void ProbeNic::send(kj::ArrayPtr<const kj::byte> frame) {
  KJ_REQUIRE(frame.size() <= SLOT - sizeof(NetHeader), "the frame is too long for the probe", frame.size());
  auto slot = nextSlot();
  memcpy(slot.bytes().begin() + sizeof(NetHeader), frame.begin(), frame.size());
  transmit({slot.iova(), sizeof(NetHeader), false},
           {slot.iova() + sizeof(NetHeader), static_cast<uint32_t>(frame.size()), false});
}

void ProbeNic::sendForeign(uint64_t iova, uint32_t length) {
  transmit({nextSlot().iova(), sizeof(NetHeader), false}, {iova, length, false});
}

DmaSpan ProbeNic::nextSlot() {
  size_t at = SLOT * transmitted++;
  KJ_REQUIRE(at + SLOT <= pages.transmitData.size(), "the probe has sent more than it ever should");
  auto slot = pages.transmitData.slice(at, at + SLOT);
  memset(slot.bytes().begin(), 0, SLOT);
  return slot;
}

void ProbeNic::transmit(Virtq::Element header, Virtq::Element data) {
  Virtq::Element chain[] = {header, data};
  KJ_REQUIRE(transmitQueue.offer(chain), "the transmit queue is full");
  if (transmitQueue.publish()) transport.notify(virtio::TRANSMIT_QUEUE);
}

kj::Maybe<ProbeNic::Received> ProbeNic::take() {
  KJ_IF_MAYBE (used, receiveQueue.take()) {
    KJ_IF_MAYBE (span, lent[used->head]) {
      auto frame = span->bytes().slice(0, used->written);
      auto skip = kj::min(frame.size(), sizeof(NetHeader));
      return Received{false, kj::heapArray(frame.slice(skip, frame.size()).asConst())};
    }
    return Received{true, nullptr};
  }
  KJ_IF_MAYBE (fault, receiveQueue.fault()) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, kj::str("the device broke the protocol: ", faultName(*fault))));
  }
  return nullptr;
}

kj::Promise<kj::Maybe<ProbeNic::Received>> ProbeNic::receive(kj::TimePoint deadline) {
  for (;;) {
    auto received = take();
    if (received != nullptr || timer.now() >= deadline) co_return kj::mv(received);
    if (receiveQueue.arm()) continue;
    receiveInterrupt.take();
    if (receiveQueue.ready()) continue;
    co_await receiveInterrupt.whenFired().exclusiveJoin(timer.atTime(deadline));
  }
}

}  // namespace nexus
