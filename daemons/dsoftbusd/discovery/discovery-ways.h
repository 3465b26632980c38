#pragma once
// The ways by which announcements leave over one link, and which of them is in use: multicast where the group could be
// joined and the stack takes the datagram, else broadcast, else the configured addresses alone. Every way that works is
// used in every round, so a switch that swallows multicast costs no waiting; the one in use is what the log and the
// status name. Owned by the link's discovery. Pure; knows nothing of sockets.
#include <kj/string.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

enum class DiscoveryWay : uint8_t { MULTICAST, BROADCAST, STATIC };

class DiscoveryWays {
 public:
  // A round begins; what is not reported in it is not there.
  void beginRound();
  void sent(DiscoveryWay way, const IpAddress& to);
  void failed(DiscoveryWay way, const IpAddress& to, kj::StringPtr why);

  // The round is over: the line for the log if another way than before is in use, or none has become one.
  kj::Maybe<kj::String> endRound();

  // "multicast to 239.42.0.1, ff02::4e58:5342", "broadcast to 10.42.0.255, because multicast to 239.42.0.1 failed
  // (...)", "none: nothing is configured"; of the last round.
  kj::StringPtr inUse() const { return line; }

 private:
  static constexpr size_t COUNT = 3;

  struct Way {
    kj::Vector<kj::String> sent, failed;
  };
  Way ways[COUNT];
  kj::Maybe<size_t> last;  // the one in use before; COUNT: none
  kj::String line;
};

}  // namespace nexus
