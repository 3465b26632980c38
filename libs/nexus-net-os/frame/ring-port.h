#pragma once
// The link as netstackd has it: a FramePort over the shared rings of a Nic. Attaches, delivers received frames in
// place, sends, and when the driver dies or the attachment ends for any other reason attaches again, with back-off,
// while the link counts as down. Owned by the stack's link. Knows nothing of TCP/IP and nothing of what device is
// below.
#include <kj/async-unix.h>
#include <kj/timer.h>

#include "idl/nic.capnp.h"
#include "libs/nexus-net-os/frame/frame-port.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"

namespace nexus {

class RingPort final : public FramePort {
 public:
  struct Backoff {
    kj::Duration first = 10 * kj::MILLISECONDS;
    kj::Duration most = 1 * kj::SECONDS;  // doubles from `first` up to this
  };

  // All grow only. Frames.
  struct Counters {
    uint64_t received = 0;
    uint64_t transmitted = 0;
    uint64_t droppedAway = 0;  // transmit() while not attached
    uint64_t droppedFull = 0;  // transmit() without enough free buffers
    uint64_t droppedSize = 0;  // transmit() of a frame longer than the link takes
    uint64_t attached = 0;     // attachments made
    uint64_t failed = 0;       // attempts to attach that failed
    uint64_t lost = 0;         // attachments that ended
  };

  // `nic`, `eventPort` and `timer` must outlive the port. One thread.
  RingPort(CapReconnect& nic, kj::UnixEventPort& eventPort, kj::Timer& timer);
  RingPort(CapReconnect& nic, kj::UnixEventPort& eventPort, kj::Timer& timer, Backoff backoff);
  ~RingPort() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(RingPort);

  // Attaches, trying again with back-off until it works. Afterwards macAddress() is known. To be awaited once, before
  // receiveLoop().
  kj::Promise<void> attach();

  // implements FramePort ----------------------------------------
  // A ReceivedPiece may be released after the attachment ended, and after the port is gone: the memory lives as long as
  // its pieces.

  MacAddress macAddress() override;  // FAILED before the first attachment
  LinkState linkState() override;    // down while away
  bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) override;
  void flush() override;
  kj::Promise<void> receiveLoop(Receiver& receiver) override;

  const Counters& counters() const { return totals; }

  // Why the last attachment or attempt ended, for people; empty before any did.
  kj::StringPtr lastReason() const { return reason; }

 private:
  struct Session;  // one attachment
  CapReconnect& nic;
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  Backoff backoff;
  kj::Duration nextDelay;
  Counters totals;
  kj::Maybe<MacAddress> mac;
  kj::String reason;
  kj::Maybe<kj::Own<Session>> session;

  kj::Promise<kj::Own<Session>> open();
  kj::Promise<void> pause();
  kj::Promise<kj::String> sessionLoop(Session& session, Receiver& receiver);
  kj::Promise<kj::String> frameLoop(Session& session, Receiver& receiver);
  kj::Promise<kj::String> linkLoop(Session& session, Receiver& receiver);
};

}  // namespace nexus
