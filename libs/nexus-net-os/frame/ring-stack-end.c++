#include "libs/nexus-net-os/frame/ring-stack-end.h"

#include <kj/debug.h>

namespace nexus {

RingStackEnd::RingStackEnd(BufferPool buffers, SharedMemory ringMemory, Doorbell toDriverBell)
    : pool(kj::mv(buffers)),
      rings(kj::mv(ringMemory)),
      toStack(rings.bytes(), RingDirection::TO_STACK, pool.geometry()),
      toDriver(rings.bytes(), RingDirection::TO_DRIVER, pool.geometry()),
      bell(kj::mv(toDriverBell)),
      holders(kj::heapArray<Holder>(pool.geometry().total())) {
  for (auto& holder : holders) holder = Holder::DRIVER;
  freeTransmit.reserve(pool.geometry().transmit);
  assembling.reserve(MAX_RING_SEGMENTS);
}

bool RingStackEnd::refuse(kj::StringPtr why) {
  reason = why;
  return false;
}

size_t RingStackEnd::poll(FramePort::Receiver& receiver) {
  auto keep = kj::addRef(*this);  // the receiver may drop everything else that holds us
  polling = true;
  KJ_DEFER(polling = false);
  RingEntry entry;
  for (size_t count = 0; count < BATCH; count++) {
    if (ended || reason.size() > 0) return count;
    switch (toStack.take(entry)) {
      case RingConsumer::Take::EMPTY:
        return count;
      case RingConsumer::Take::BAD:
        reason = toStack.fault();
        return count;
      case RingConsumer::Take::TAKEN:
        if (!accept(entry, receiver)) return count;
        break;
    }
  }
  return BATCH;
}

bool RingStackEnd::accept(const RingEntry& entry, FramePort::Receiver& receiver) {
  auto id = entry.segment.buffer;
  if (holders[id] != Holder::DRIVER) {
    return refuse(entry.kind == ring::Kind::GRANTED ? "the grant of a transmit buffer that is granted already"_kj
                                                    : "a frame in a receive buffer that the driver does not hold"_kj);
  }
  if (entry.kind == ring::Kind::RECEIVED) return acceptSegment(entry, receiver);
  if (assembling.size() > 0) return refuse("a granted buffer in the middle of a frame"_kj);
  acceptGrant(id);
  return true;
}

void RingStackEnd::acceptGrant(BufferId id) {
  holders[id] = Holder::STACK;
  freeTransmit.add(id);
}

// Takes what the driver has granted meanwhile, up to the first received frame, which waits for its poll().
void RingStackEnd::takeGrants() {
  RingEntry entry;
  while (reason.size() == 0 && assembling.size() == 0 && toStack.nextIs(ring::Kind::GRANTED)) {
    if (toStack.take(entry) != RingConsumer::Take::TAKEN) {
      reason = toStack.fault();
    } else if (entry.kind != ring::Kind::GRANTED || holders[entry.segment.buffer] != Holder::DRIVER) {
      reason = "the grant of a transmit buffer that is granted already, or that changed under our eyes"_kj;
    } else {
      acceptGrant(entry.segment.buffer);
    }
  }
}

bool RingStackEnd::acceptSegment(const RingEntry& entry, FramePort::Receiver& receiver) {
  if (assembling.size() == MAX_RING_SEGMENTS) return refuse("a frame of too many segments"_kj);
  if (assembling.size() == 0) assemblingMeta = entry.meta;
  holders[entry.segment.buffer] = Holder::STACK;
  assembling.add(entry.segment);
  if (entry.more) return true;
  size_t length = 0;
  for (auto& segment : assembling) length += segment.length;
  auto fault = findMetaFault(assemblingMeta, length);
  KJ_IF_MAYBE (why, fault) return refuse(*why);
  deliver(receiver);
  return true;
}

void RingStackEnd::deliver(FramePort::Receiver& receiver) {
  kj::Vector<ReceivedPiece> pieces(assembling.size());
  for (auto& segment : assembling)
    pieces.add(pool.bytes(segment), static_cast<ReceivedPiece::Owner&>(*this), segment.buffer);
  if (lent == 0) self = kj::addRef(*this);
  lent += static_cast<uint32_t>(assembling.size());
  assembling.clear();
  delivered++;
  receiver.frameReceived(pieces, assemblingMeta);
}

void RingStackEnd::release(uint32_t token) noexcept {
  holders[token] = Holder::DRIVER;
  if (!ended && reason.size() == 0) {
    toDriver.push({ring::Kind::RETURNED, false, {token, 0, 0}, {}});
    returnsUnseen++;
    // Outside a batch nobody may flush for long: the driver must see the buffer, and hear of it if it is short of them.
    bool plenty = geometry().receive - lent > returnsUnseen + geometry().receive / 2;
    if (!polling && !plenty) {
      flush();
    } else if (!polling) {
      toDriver.publish();
    }
  }
  if (--lent == 0) auto last = kj::mv(self);  // may destroy this
}

bool RingStackEnd::transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) {
  size_t length = 0;
  for (auto& piece : pieces) length += piece.size();
  size_t count = (length + ring::BUFFER_SIZE - 1) / ring::BUFFER_SIZE;
  if (length == 0 || count > FrameDevice::MAX_SEGMENTS || ended) return false;
  if (count > freeTransmit.size()) takeGrants();
  if (count > freeTransmit.size() || reason.size() > 0) return false;

  auto piece = pieces.begin();
  size_t taken = 0;  // of *piece
  for (size_t i = 0; i < count; i++) {
    auto id = freeTransmit.back();
    freeTransmit.removeLast();
    holders[id] = Holder::DRIVER;
    auto target = pool.buffer(id).slice(0, kj::min(length, static_cast<size_t>(ring::BUFFER_SIZE)));
    length -= target.size();
    toDriver.push({ring::Kind::TRANSMIT,
                   i + 1 < count,
                   {id, 0, static_cast<uint32_t>(target.size())},
                   i == 0 ? meta : FrameMeta{}});
    while (target.size() > 0) {
      auto source = piece->slice(taken, kj::min(piece->size(), taken + target.size()));
      memcpy(target.begin(), source.begin(), source.size());
      target = target.slice(source.size(), target.size());
      taken += source.size();
      if (taken == piece->size()) {
        piece++;
        taken = 0;
      }
    }
  }
  framesPushed = true;
  return true;
}

void RingStackEnd::flush() {
  if (ended) return;
  // Returned buffers alone do not wake a driver that knows of plenty: it finds them at its next look.
  bool plenty = geometry().receive - lent > returnsUnseen + geometry().receive / 2;
  if (!framesPushed && plenty) {
    toDriver.publish();
    return;
  }
  if (toDriver.publishAndWake()) bell.ring();
  framesPushed = false;
  returnsUnseen = 0;
}

void RingStackEnd::end() {
  ended = true;
}

}  // namespace nexus
