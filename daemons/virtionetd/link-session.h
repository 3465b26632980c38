#pragma once
// One opened device with its buffers, and the memory of the one attachment it can have: made together, before the
// sandbox takes away the calls that make memory. Drives the device for the RPC path until the attachment starts, and
// for its rings afterwards. Owned by NicLink, replaced when the attachment ends or the device breaks. Knows nothing of
// RPC or of reopening.
#include "daemons/virtionetd/direct-path.h"
#include "daemons/virtionetd/link-backend.h"
#include "libs/nexus-net-os/frame/ring-driver-end.h"

namespace nexus {

// Duplicates for the client of an attachment.
struct AttachmentFds {
  kj::AutoCloseFd buffers, rings, toStackListen, toDriverRing;
};

class LinkSession {
 public:
  LinkSession(OpenLink link, kj::UnixEventPort& eventPort, DirectPath& direct);
  ~LinkSession() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LinkSession);

  FrameDevice& device() { return *link.device; }
  const DeviceLoans::Counters& counters() const { return loans.counters(); }

  AttachmentFds attachmentFds() const;

  // Seals the memory and hands the device over to the rings. FAILED when started already or when the kernel refuses to
  // seal.
  void start();

  // The attachment is over, whether it had started or not: drive() ends with this reason.
  void end(kj::StringPtr reason);

  // Moves frames until the attachment is over: resolves with the reason. DISCONNECTED when the device breaks.
  // `afterBatch` is called after every batch.
  kj::Promise<kj::String> drive(kj::Function<void()> afterBatch);

 private:
  OpenLink link;
  DirectPath& direct;
  SharedMemory rings;
  DoorbellFds toStack, toDriver;
  DoorbellListener toDriverBell;
  DeviceLoans loans;
  kj::Maybe<kj::Own<RingDriverEnd>> ringEnd;
  kj::Maybe<kj::String> ended;
  WaitList changed;  // the attachment started or ended

  kj::Promise<void> driveDirect(kj::Function<void()>& afterBatch);
  kj::Promise<kj::String> whenEnded();
};

}  // namespace nexus
