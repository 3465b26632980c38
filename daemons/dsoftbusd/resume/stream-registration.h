#pragma once
// A stream to a peer that outlives sessions: whoever holds the registration gets the stream of the session that lives
// now, and after a loss a fresh one of the same name in the next session. Bytes of the lost one may be lost, so it is
// never continued: it fails as DISCONNECTED at both ends, and the peer accepts the new one like any other, policy asked
// and audited again. Owned by a capability (stream-registration-server.h); knows nothing of RPC.
#include <kj/one-of.h>

#include "daemons/dsoftbusd/bus/backoff.h"
#include "daemons/dsoftbusd/bus/peer-link.h"
#include "daemons/dsoftbusd/resume/client-places.h"
#include "daemons/dsoftbusd/session/signal.h"

namespace nexus {

class StreamRegistration final {
 public:
  // name and priority are those of Mux::open, checked by the caller.
  StreamRegistration(kj::Own<PeerLink> link, kj::StringPtr name, kj::byte priority, kj::Timer& timer,
                     kj::Own<ClientTotals> totals);
  ~StreamRegistration() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(StreamRegistration);

  struct Refused {  // by the peer
    MuxResetReason reason;
    uint64_t auditId;  // of the record of the decision there; 0: none
  };
  struct NotTrusted {};  // the peer was revoked here, or does not trust this node
  using Next = kj::OneOf<kj::Own<MuxStream>, Refused, MuxReject, NotTrusted>;

  // A stream that was just opened and taken by the peer. Waits for a session with the peer, and while the stream that
  // it gave last is in use: until that was let go of (and the peer has closed its side), reset, or its session ended. A
  // refusal is a result; after it the next call waits, 250 ms at first and twice as long each time, up to 8 s.
  // NotTrusted is for good when the peer was revoked. Cancelling loses no stream: one that was opened for nobody is
  // closed. One call at a time: one more is OVERLOADED.
  kj::Promise<Next> next();

  uint64_t incarnation() const { return given; }  // of the stream that was given last; the first is 1

 private:
  class Watched;

  // Of the stream that was given last; it may outlive the registration.
  struct Use : public kj::Refcounted {
    bool lives = false;
    Signal over;
    void end() {
      lives = false;
      over.fire();
    }
  };

  kj::Own<PeerLink> link;
  kj::String name;
  kj::byte priority;
  kj::Timer& timer;
  kj::Own<ClientTotals> totals;
  Backoff backoff;
  kj::TimePoint notBefore;
  kj::Own<Use> use;
  uint64_t given = 0;
  kj::Maybe<kj::Own<Mux>> lastMux;  // of the session of the stream that was given last
  MuxStreamId lastId = 0;
  bool asked = false;

  struct Lost {};
  kj::Promise<kj::Maybe<Next>> open(Mux& mux);
  bool lastStillCloses(const Mux& mux) const;
  Next refused(Next why);
};

}  // namespace nexus
