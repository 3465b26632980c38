#pragma once
// How many handshakes may be under way at once, in all and from one source address, and how many one source may begin a
// second. Asked before any public-key work is done for a connection. Owned by the bus; time comes in.
#include <kj/memory.h>

#include "daemons/dsoftbusd/policy/rate-limiter.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct HalfOpenLimits {
  kj::uint total = 32;
  kj::uint perSource = 4;
  kj::uint perSecond = 10, burst = 20;  // beginnings of one source
};

class HalfOpenLimit {
 public:
  explicit HalfOpenLimit(const HalfOpenLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(HalfOpenLimit);

  // One handshake under way; dropping it gives the place back. Must not outlive the limit.
  class Place {
   public:
    Place(HalfOpenLimit& limit, const IpAddress& source) : limit(limit), source(source) {}
    ~Place() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Place);

   private:
    HalfOpenLimit& limit;
    IpAddress source;
  };

  // Null when a bound is reached; the connection is then to be closed.
  kj::Maybe<kj::Own<Place>> tryEnter(const IpAddress& source, kj::TimePoint now);

  kj::uint count() const { return under; }
  kj::uint mostOfOneSource() const;

  struct Counters {
    uint64_t refusedTotal = 0, refusedSource = 0, refusedRate = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  HalfOpenLimits limits;
  kj::uint under = 0;
  kj::HashMap<kj::String, kj::uint> bySource;  // only sources with a handshake under way
  RateLimiter rate;
  Counters counts;
};

}  // namespace nexus
