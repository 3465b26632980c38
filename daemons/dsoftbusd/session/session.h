#pragma once
// One live session with one peer, after the handshake: ping and pong, calls both ways, keep-alive, the close record,
// streams (mux/mux.h), the end with its reason. Owned by a peer link (or a bus client); capabilities that were handed
// out keep the object, not the connection. Knows nothing of trust, policy or reconnecting.
//
// Reading never waits for the peer to read: what it asked for is answered in tasks, as many as an honest peer has
// questions open. So two ends that both have much to send cannot hold each other up.
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/mux/mux.h"
#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "daemons/dsoftbusd/session/keep-alive.h"
#include "daemons/dsoftbusd/session/pending-answers.h"
#include "daemons/dsoftbusd/session/record-channel.h"
#include "daemons/dsoftbusd/session/signal.h"

namespace nexus {

// Answers the requests of the peer.
class RequestHandler {
 public:
  virtual ~RequestHandler() noexcept(false) = default;
  virtual kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char> service, kj::ArrayPtr<const kj::byte> frame) = 0;

  // Whether the peer may open a stream of that name to this node. Nobody may who is not let.
  virtual MuxAdmission admitStream(kj::StringPtr name) { return {false, 0}; }

  // Serves a stream that was admitted as `served`, until it ends; the promise is dropped when the session ends.
  virtual kj::Promise<void> serveStream(kj::Own<MuxStream> stream) { return kj::READY_NOW; }
};

struct SessionLimits {
  kj::Duration keepAliveInterval = 3 * kj::SECONDS;  // of silence; then a ping
  kj::Duration keepAliveTimeout = 9 * kj::SECONDS;   // of silence; then the session is over
  kj::Duration callTimeout = 5 * kj::SECONDS;        // for the peer's answer to a ping or call
  kj::Duration closeTimeout = 1 * kj::SECONDS;       // for the close record to leave
  kj::uint maxServing = 16;                          // requests of the peer at once; the others wait their turn
  kj::uint maxWaiting = 64;  // own pings and calls at once, one more is OVERLOADED; of the peer, then reading waits
  MuxLimits mux{};
};

struct SessionEnd {
  kj::String why;                     // one clause for people
  kj::Maybe<CloseReason> peerReason;  // what the peer's close record said
  uint64_t peerAuditId = 0;
};

// Made with kj::refcounted.
class Session final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  // onLive is called once: our ping was answered and a ping of the peer was.
  // role: who dialled.
  Session(kj::Own<RecordChannel> channel, MuxRole role, RequestHandler& handler, kj::Timer& timer,
          kj::Function<void()> onLive, const SessionLimits& limits = {});
  ~Session() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Session);

  // Runs the session until it ends; never fails. Dropping the promise ends it without a close record. greet: ping the
  // peer at once.
  kj::Promise<SessionEnd> run(bool greet = true);

  // Ends the session with that reason: whoever waits is told in this turn of the event loop, then run() sends a close
  // record with the id of this node's audit record, if there is one. Nothing when it has ended.
  void close(CloseReason reason, kj::String why, uint64_t auditId = 0);

  // The same without a close record: the peer does not have this session any more.
  void abandon(kj::String why);

  bool isLive() const { return live && !ended; }
  bool hasEnded() const { return ended; }

  // The same payload back; at most MAX_PING_PAYLOAD bytes. FAILED when the peer's answer differs or takes longer than
  // callTimeout, DISCONNECTED when the session ends.
  kj::Promise<kj::Array<kj::byte>> ping(kj::ArrayPtr<const kj::byte> payload);

  // The same for the node itself, however many calls of programs wait: whether the peer is there must not depend on
  // how much is asked of it.
  kj::Promise<kj::Array<kj::byte>> pingForNode();

  // Never more than callTimeout. A session that the peer closes as unauthenticated answers with that status; any other
  // end is DISCONNECTED.
  kj::Promise<RemoteReply> call(kj::ArrayPtr<const char> service, kj::ArrayPtr<const kj::byte> frame);

  // Since when nothing of the peer has arrived.
  kj::Duration silence() const { return keepAlive.silence(timer.now()); }

  // The streams of this session.
  Mux& mux() { return *streams; }

  // Answers that came when nobody waited any more.
  uint64_t lateAnswerCount() const { return lateAnswers; }

 private:
  kj::Own<RecordChannel> channel;
  RequestHandler& handler;
  kj::Timer& timer;
  kj::Function<void()> onLive;
  SessionLimits limits;

  PendingAnswers<kj::Array<kj::byte>> pings;
  PendingAnswers<RemoteReply> calls;
  uint64_t nextId = 1;
  KeepAlive keepAlive;
  bool ended = false, live = false, greeted = false, answered = false;
  uint64_t lateAnswers = 0;

  struct CloseOrder {
    kj::Maybe<CloseReason> reason;  // null: no close record
    kj::String why;
    uint64_t auditId = 0;
  };
  kj::Maybe<CloseOrder> closeOrder;
  Signal closeOrdered;

  kj::Own<Mux> streams;
  kj::uint serving = 0;     // requests of the peer, with the handler
  kj::uint unanswered = 0;  // pings and requests of the peer
  Signal served;
  kj::TaskSet tasks;  // answers, the mux's sending

  kj::Promise<SessionEnd> readLoop();
  kj::Maybe<kj::String> takeFrame(RecordChannel::Message& record);
  kj::Promise<kj::Maybe<SessionEnd>> take(RecordChannel::Message message);
  kj::Promise<SessionEnd> keepAliveLoop();
  kj::Promise<SessionEnd> whenClosed();
  kj::Promise<void> greetPeer();
  kj::Promise<void> answerPing(uint64_t id, kj::Array<kj::byte> payload);
  kj::Promise<void> serve(uint64_t id, kj::Array<char> service, kj::Array<kj::byte> frame);
  kj::Promise<void> sendClose(CloseMessage message);
  SessionEnd fault(kj::String why);
  void noteLive();
  void stop(const SessionEnd& end);
  void checkNotEnded() const;
  void checkAcceptsCall() const;
  kj::Promise<kj::Array<kj::byte>> sendPing(kj::ArrayPtr<const kj::byte> payload);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
