#pragma once
// Finds out whether the peer of a live session has lost it: it was restarted, or its network stack was, and TCP takes
// its time to tell. An announcement is the occasion, and proves nothing, since anybody can forge it. So the peer is
// asked inside the session first. If it says nothing there, it is dialled a second time, and the session goes on until
// the peer, authenticated on the new connection, has decided: it speaks there if it has no session any more, and closes
// it if it has one. So no announcement ends a session that lives, however many are forged.
//
// Owned by a peer link, which says when an announcement came, how to dial, and when the session is over.
#include "daemons/dsoftbusd/bus/doubt-limit.h"
#include "daemons/dsoftbusd/session/handshake.h"
#include "daemons/dsoftbusd/session/session.h"

namespace nexus {

struct DoubtTimes {
  kj::Duration patience =
      250 * kj::MILLISECONDS;                     // of silence, and for an answer to the question; then the second dial
  kj::Duration connectTimeout = 2 * kj::SECONDS;  // for the transport to reach the address
  kj::Duration decisionTimeout = 5 * kj::SECONDS;  // for the peer to say which connection it keeps
};

class SecondDial final : private kj::TaskSet::ErrorHandler {
 public:
  // What the link does for it.
  class Owner {
   public:
    // One dial with its handshake; the transport gets `connectTimeout`. Null: this node does not dial, or knows nowhere
    // to.
    virtual kj::Maybe<kj::Promise<HandshakeResult>> dialAgain(kj::Duration connectTimeout) = 0;
    // The session's peer says nothing when it is asked.
    virtual void onSilence() = 0;
    // The peer has no session but this connection.
    virtual void onChosen(HandshakeDone connection) = 0;
  };

  // timer and owner outlive this.
  SecondDial(kj::Timer& timer, Owner& owner, DoubtTimes times = {});
  ~SecondDial() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SecondDial);

  // An announcement of the session's peer was heard. Nothing follows when something was just heard in the session
  // itself, while a doubt is under way, and beyond the limit.
  void doubt(Session& session);

  // The session is over. Nothing goes on; a connection on which the peer has not decided yet is handed over.
  kj::Maybe<HandshakeDone> stop();

  struct Counters {
    uint64_t doubts = 0, dials = 0, chosen = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  kj::Timer& timer;
  Owner& owner;
  DoubtTimes times;
  DoubtLimit limit;
  Counters counts;
  bool busy = false;
  kj::Maybe<HandshakeDone> undecided;
  kj::TaskSet closing;        // connections that were in vain
  kj::Promise<void> current;  // last: uses the rest

  kj::Promise<void> run(kj::Own<Session> session);
  kj::Promise<bool> isChosen(kj::Promise<HandshakeResult> dial);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
