#pragma once
// The link that virtionetd serves: opens the backend's device, drives it for the RPC path or for one attachment, and
// opens it again when the attachment has ended or the device has failed. Owned by the daemon; used by NicServer. Knows
// nothing of RPC.
#include <kj/refcount.h>
#include <kj/timer.h>

#include "daemons/virtionetd/link-session.h"

namespace nexus {

class NicLink;

// One attachment as its holder sees it. Reference counted: it may be asked why it ended long after the link has moved
// on or gone.
class LinkAttachment final : public kj::Refcounted {
 public:
  LinkAttachment(NicLink& link, LinkSession& session) : link(link), live(session) {}

  // Null once it is over.
  kj::Maybe<LinkSession&> session() { return live; }

  // Resolves with the reason when it is over.
  kj::Promise<kj::String> whenClosed();

  // The holder lets go of it: it is over, which is no fault.
  void drop();

 private:
  friend class NicLink;
  kj::Maybe<NicLink&> link;
  kj::Maybe<LinkSession&> live;
  kj::Maybe<kj::String> reason;
  WaitList closing;

  void close(kj::StringPtr why);
};

class NicLink {
 public:
  struct Backoff {
    kj::Duration first = 10 * kj::MILLISECONDS;
    kj::Duration most = 5 * kj::SECONDS;  // doubles from `first` up to this, for as long as opening fails
  };

  // All grow only.
  struct Counters {
    DeviceLoans::Counters frames;   // over all devices
    uint64_t attachments = 0;       // made
    uint64_t attachmentFaults = 0;  // ended because the client broke a rule
    uint64_t deviceFailures = 0;
    uint64_t openFailures = 0;
  };

  struct Status {
    uint32_t generation = 1;  // counts changes
    LinkState state{false, 1500, "the device is not open yet"_kj};
  };

  // Everything must outlive the link.
  NicLink(LinkBackend& backend, kj::UnixEventPort& eventPort, kj::Timer& timer);
  NicLink(LinkBackend& backend, kj::UnixEventPort& eventPort, kj::Timer& timer, Backoff backoff);
  ~NicLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(NicLink);

  // Opens the device for the first time. Fails as the backend does.
  kj::Promise<void> open();

  // Moves frames, for good. DISCONNECTED when the backend can no longer open its device: the daemon's end.
  kj::Promise<void> driveLoop();

  MacAddress macAddress() const { return mac; }
  const Status& status() const { return present; }

  // Resolves when status().generation differs from `known`.
  kj::Promise<void> whenStatusDiffers(uint32_t known);
  size_t statusWaiterCount() const { return statusChanged.size(); }

  DirectPath& directPath() { return direct; }
  const LinkBackend& linkBackend() const { return backend; }

  // OVERLOADED while another attachment lives, DISCONNECTED while there is no device.
  kj::Own<LinkAttachment> attach();

  Counters counters() const;

 private:
  friend class LinkAttachment;
  LinkBackend& backend;
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  Backoff backoff;
  MacAddress mac;
  Status present;
  WaitList statusChanged;
  DirectPath direct;
  Counters totals;
  kj::Maybe<kj::Own<LinkSession>> session;
  kj::Maybe<kj::Own<LinkAttachment>> attachment;
  bool detached = false;  // the attachment was dropped by its holder, which is no fault

  void setStatus(const LinkState& state);
  kj::Promise<kj::String> driveSession();
  void closeSession(kj::StringPtr reason);
  kj::Promise<void> reopen();
};

}  // namespace nexus
