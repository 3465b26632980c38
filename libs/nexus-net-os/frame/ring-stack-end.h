#pragma once
// The stack's side of an attachment: received frames are lent out in place, frames to send are copied into transmit
// buffers, and every buffer that the driver names is checked against the table of who holds it. A driver that breaks a
// rule makes this end faulty, for good, and nothing else. Lives on, with its memory, for as long as a ReceivedPiece of
// it does: reference counted. Owned by a RingPort. Knows nothing of RPC, reconnecting or the network stack.
#include <kj/refcount.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/frame/doorbell.h"
#include "libs/nexus-net-os/frame/frame-port.h"
#include "libs/nexus-net-os/frame/frame-ring.h"

namespace nexus {

class RingStackEnd final : public kj::Refcounted, private ReceivedPiece::Owner {
 public:
  static constexpr size_t BATCH = 64;  // frames and granted buffers between two looks at anything else

  // The geometry is that of `buffers`, which must be what the ring memory's control page says.
  RingStackEnd(BufferPool buffers, SharedMemory rings, Doorbell toDriverBell);
  KJ_DISALLOW_COPY_AND_MOVE(RingStackEnd);

  // Delivers at most BATCH entries of the ring. Returns how many it took; BATCH means there may be more.
  size_t poll(FramePort::Receiver& receiver);

  // Copies a frame into transmit buffers and queues it. False when there are not enough free ones, or the frame needs
  // too many.
  bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta);

  // Makes everything queued and returned visible to the driver; one bell at most.
  void flush();

  // Announces that we are about to wait for the driver's bell. False when there is work after all.
  bool prepareSleep() { return toStack.prepareSleep(); }
  void awake() { toStack.awake(); }

  // The attachment is over: no ring is touched any more, pieces that are still out only keep the memory.
  void end();

  // What the driver did wrong; empty while it did nothing wrong. Static lifetime.
  kj::StringPtr fault() const { return reason; }

  uint32_t freeTransmitCount() const { return static_cast<uint32_t>(freeTransmit.size()); }
  uint64_t deliveredCount() const { return delivered; }  // frames
  uint32_t lentCount() const { return lent; }
  uint64_t bellCount() const { return bell.ringCount(); }
  const BufferGeometry& geometry() const { return pool.geometry(); }

 private:
  enum class Holder : uint8_t { DRIVER, STACK };

  BufferPool pool;
  SharedMemory rings;
  RingConsumer toStack;
  RingProducer toDriver;
  Doorbell bell;
  kj::StringPtr reason;
  bool ended = false;
  kj::Array<Holder> holders;
  kj::Vector<BufferId> freeTransmit;  // a stack: the buffer used last is the warmest
  kj::Vector<FrameSegment> assembling;
  FrameMeta assemblingMeta;
  uint64_t delivered = 0;
  uint32_t lent = 0;                      // receive buffers out as pieces
  uint32_t returnsUnseen = 0;             // pushed since the driver was last made to look
  bool framesPushed = false;              // since then
  bool polling = false;                   // a flush follows
  kj::Maybe<kj::Own<RingStackEnd>> self;  // while pieces are out

  void takeGrants();
  void acceptGrant(BufferId id);
  bool accept(const RingEntry& entry, FramePort::Receiver& receiver);
  bool acceptSegment(const RingEntry& entry, FramePort::Receiver& receiver);
  void deliver(FramePort::Receiver& receiver);
  bool refuse(kj::StringPtr why);

  // implements ReceivedPiece::Owner ----------------------------------------
  void release(uint32_t token) noexcept override;
};

}  // namespace nexus
