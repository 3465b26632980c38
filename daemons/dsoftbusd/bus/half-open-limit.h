#pragma once
// How many handshakes may be under way at once, in all and from one source address, and how many one source may begin a
// second. Asked before any public-key work is done for a connection. Owned by the bus; time comes in.
//
// Whoever has several addresses can fill all places. So one more takes the place of another: of a source of no better
// standing than its own, one that has sent nothing yet first, the oldest first. A trusted peer needs milliseconds for
// its handshake, and who would push it out in that time has to begin all places anew, at the rate of a source. Only
// when every place is held by better standing is it refused.
#include <kj/list.h>
#include <kj/memory.h>

#include "daemons/dsoftbusd/policy/rate-limiter.h"
#include "daemons/dsoftbusd/session/signal.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct HalfOpenLimits {
  kj::uint total = 32;
  kj::uint perSource = 4;
  kj::uint perSecond = 10, burst = 20;  // beginnings of one source
};

// What is known of an address before the handshake. Better comes later.
enum class Standing {
  UNKNOWN,
  HEARD,   // a trusted peer was announced there, which anybody can forge
  PROVEN,  // a trusted peer was authenticated there, or its trust entry says so
};

class HalfOpenLimit {
 public:
  explicit HalfOpenLimit(const HalfOpenLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(HalfOpenLimit);

  // One handshake under way; dropping it gives the place back. Must not outlive the limit.
  class Place {
   public:
    Place(HalfOpenLimit& limit, const IpAddress& source, Standing standing);
    ~Place() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Place);

    // The source has sent something.
    void spoke() { silent = false; }

    // Resolves when another has taken this place; the connection is then to be closed. To be dropped before the place.
    kj::Promise<void> whenTaken() { return taken.wait(); }

   private:
    friend class HalfOpenLimit;
    HalfOpenLimit& limit;
    IpAddress source;
    Standing standing;
    bool silent = true;
    Signal taken;
    kj::ListLink<Place> link;  // not linked: it was taken
  };

  // Null when a bound is reached; the connection is then to be closed.
  kj::Maybe<kj::Own<Place>> tryEnter(const IpAddress& source, kj::TimePoint now, Standing standing = Standing::UNKNOWN);

  kj::uint count() const { return places.size(); }
  kj::uint mostOfOneSource() const;

  struct Counters {
    uint64_t refusedTotal = 0, refusedSource = 0, refusedRate = 0;
    uint64_t taken = 0;  // places, by another connection
  };
  const Counters& counters() const { return counts; }

 private:
  HalfOpenLimits limits;
  kj::List<Place, &Place::link> places;  // the oldest first
  RateLimiter strangersRate, knownRate;  // who begins often from many addresses uses up no bucket of a known one
  Counters counts;

  kj::uint countOf(const IpAddress& source) const;
  bool makeRoom(Standing standing);
};

}  // namespace nexus
