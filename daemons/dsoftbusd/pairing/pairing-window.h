#pragma once
// One open window in which this node pairs with one other: dials or waits, runs the exchange, shows the code, takes
// what the two people say, and has the peer trusted only when both said yes. Owned by whoever opened it; closing it, or
// its end, leaves nothing behind. Knows nothing of capabilities, of the trust table and of how connections are
// accepted: these are its host's.
#include <kj/async-io.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/pairing/pairing-exchange.h"
#include "daemons/dsoftbusd/session/signal.h"
#include "daemons/dsoftbusd/transport/transport.h"
#include "idl/bus-trust.capnp.h"

namespace nexus {

struct PairingLimits {
  kj::Duration exchange = 5 * kj::SECONDS;                                       // from the connection to the code
  kj::Duration connect = 5 * kj::SECONDS;                                        // for a dial
  kj::Duration shortestRetry = 1 * kj::SECONDS, longestRetry = 3 * kj::SECONDS;  // between two dials, by chance
  kj::uint failures = 8;  // connections of others that broke the rules; one more and the window closes
};

// What a window needs of the node it is part of.
class PairingHost {
 public:
  virtual ~PairingHost() noexcept(false) = default;

  struct Route {
    Transport& over;
    SocketAddress to;
  };
  // Where the peer that the window is for can be dialled now; null: nowhere at the moment.
  virtual kj::Maybe<Route> findRoute(kj::StringPtr peer) = 0;

  // Why that device cannot be trusted under that name; null: it can.
  virtual kj::Maybe<idl::PairOutcome> obstacle(kj::StringPtr name, const PublicIdentity& peer) = 0;

  // Both people said yes. FAILED when it could not be stored.
  virtual void trust(kj::StringPtr name, const PublicIdentity& peer) = 0;

  // For the audit log; `peer` is null when nobody proved to be anybody.
  virtual void note(kj::StringPtr name, kj::Maybe<const PublicIdentity&> peer, idl::PairOutcome outcome) = 0;
};

struct PairingContext {
  const DeviceIdentity& own;
  kj::Timer& timer;
  Entropy& entropy;
  PairingHost& host;
  PairingLimits limits{};
};

struct PairingRequest {
  kj::String name;            // what the peer is to be called here
  kj::String peer;            // whom to dial; empty: wait
  kj::String deviceIdPrefix;  // of the only one that is taken; empty: any
  kj::Duration length;        // of the window
};

// Made with kj::refcounted.
class PairingWindow final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  // context outlives this; onClosed is called when this goes.
  PairingWindow(PairingContext& context, PairingRequest request, kj::Function<void()> onClosed);
  ~PairingWindow() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PairingWindow);

  // Whether a connection of another node would be taken now.
  bool isWaiting() const { return end == nullptr && !talking; }

  // A connection that began with PAIRING_MAGIC. Only while it waits.
  void take(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote);

  struct Shown {
    kj::String code;
    PublicIdentity peer;
    SocketAddress address;
  };
  kj::Maybe<const Shown&> shown() const { return candidate; }

  struct End {
    idl::PairOutcome outcome;
    kj::String reason;  // one clause for people
  };
  kj::Maybe<const End&> ended() const { return end; }

  // What the person here says; FAILED without a code, and the second time.
  void decide(bool same);

  kj::Promise<void> whenChanged() { return changed.wait(); }

 private:
  PairingContext& context;
  PairingRequest request;
  kj::Function<void()> onClosed;
  bool talking = false;  // with one connection
  kj::uint failures = 0;
  kj::String lastFailure;
  kj::Maybe<Shown> candidate;
  kj::Maybe<bool> ownDecision;
  bool ownSent = false, peerAgreed = false;
  kj::Maybe<End> end;
  Signal changed, decided, closed;
  kj::TaskSet tasks;  // last: uses the rest

  using Problem = kj::Maybe<kj::String>;

  kj::Promise<void> closeInTime();
  kj::Promise<void> dialLoop();
  kj::Promise<void> dialOnce(PairingHost::Route route);
  kj::Promise<void> converse(kj::Own<kj::AsyncIoStream> stream, PairingExchange::Role role, SocketAddress remote);
  kj::Promise<Problem> introduce(kj::AsyncIoStream& stream, PairingExchange& exchange, PairingExchange::Role role);
  kj::Promise<Problem> readFrame(kj::AsyncIoStream& stream, PairingExchange& exchange);
  kj::Promise<void> listen(kj::AsyncIoStream& stream, PairingExchange& exchange);
  kj::Promise<void> speak(kj::AsyncIoStream& stream, PairingExchange& exchange);
  Problem unwanted(const PublicIdentity& peer);
  void noteFailure(PairingExchange::Role role, kj::StringPtr why);
  void finish();
  void close(idl::PairOutcome outcome, kj::String reason);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
