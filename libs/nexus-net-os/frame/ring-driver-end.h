#pragma once
// The driver's side of an attachment: frames that the device received go into the to-stack ring, frames from the
// to-driver ring go to the device, and every buffer that the client names is checked against the table of who holds it.
// A client that breaks a rule ends the attachment, with a reason, and nothing else. Owned by the link for as long as
// the attachment lives. Knows nothing of RPC or of how the memory got to the client.
#include <kj/function.h>

#include "libs/nexus-net-os/frame/device-loans.h"
#include "libs/nexus-net-os/frame/doorbell.h"
#include "libs/nexus-net-os/frame/frame-ring.h"

namespace nexus {

class RingDriverEnd final : private DeviceLoans::User {
 public:
  static constexpr size_t BATCH = 64;  // events of each kind between two looks at anything else

  // `ringMemory` carries its control page already. Everything but the doorbells must outlive this. Grants every spare
  // transmit buffer.
  RingDriverEnd(DeviceLoans& loans, kj::ArrayPtr<kj::byte> ringMemory, Doorbell toStackBell,
                DoorbellListener& toDriverBell);

  // Gives back all that the client held.
  ~RingDriverEnd() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RingDriverEnd);

  // One bounded batch both ways. Returns whether there may be more. DISCONNECTED when the device is broken.
  bool pump();

  // What the client did wrong; empty while it did nothing wrong. Static lifetime.
  kj::StringPtr fault() const { return reason; }

  // Pumps until the client breaks a rule: resolves with the reason. `device` is the one of the loans, for its wake-up;
  // `afterBatch` is called after every batch. DISCONNECTED when the device is broken.
  kj::Promise<kj::StringPtr> pumpLoop(FrameDevice& device, kj::Function<void()> afterBatch);

  uint64_t bellCount() const { return bell.ringCount(); }

 private:
  DeviceLoans& loans;
  RingProducer toStack;
  RingConsumer toDriver;
  Doorbell bell;
  DoorbellListener& listener;
  kj::StringPtr reason;
  FrameSegment assembling[FrameDevice::MAX_SEGMENTS];  // the frame whose last segment has not come yet
  size_t assembled = 0;
  size_t assembledLength = 0;
  FrameMeta assemblingMeta;
  bool framesPushed = false;  // since the stack was last made to look
  uint32_t grantsUnseen = 0;  // pushed since then, at most

  size_t consume();
  bool accept(const RingEntry& entry);
  bool acceptSegment(const RingEntry& entry);
  bool refuse(kj::StringPtr why);
  void publish();

  // implements DeviceLoans::User ----------------------------------------
  void frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override;
  void transmitBufferFree(BufferId buffer) override;
};

}  // namespace nexus
