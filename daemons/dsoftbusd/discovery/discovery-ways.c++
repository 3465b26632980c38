#include "daemons/dsoftbusd/discovery/discovery-ways.h"

namespace nexus {

namespace {

// Of the configured addresses: "static to 10.9.0.2".
constexpr kj::StringPtr NAMES[] = {"multicast"_kj, "broadcast"_kj, "static"_kj};

}  // namespace

void DiscoveryWays::beginRound() {
  for (auto& way : ways) way = Way();
}

void DiscoveryWays::sent(DiscoveryWay way, const IpAddress& to) {
  ways[uint8_t(way)].sent.add(kj::str(to));
}

void DiscoveryWays::failed(DiscoveryWay way, const IpAddress& to, kj::StringPtr why) {
  ways[uint8_t(way)].failed.add(kj::str(NAMES[uint8_t(way)], " to ", to, " failed (", why, ")"));
}

kj::Maybe<kj::String> DiscoveryWays::endRound() {
  size_t now = 0;
  kj::Vector<kj::String> passedOver;
  for (; now < COUNT && ways[now].sent.empty(); now++) {
    for (auto& why : ways[now].failed) passedOver.add(kj::str(why));
  }
  auto because = passedOver.empty() ? kj::String() : kj::strArray(passedOver, ", ");
  if (now == COUNT) {
    line = kj::str("none: ", because.size() > 0 ? kj::mv(because) : kj::str("nothing is configured"));
  } else {
    line = kj::str(NAMES[now], " to ", kj::strArray(ways[now].sent, ", "));
    if (because.size() > 0) line = kj::str(line, ", because ", because);
  }
  if (last.orDefault(COUNT + 1) == now) return nullptr;
  last = now;
  return kj::str(line);
}

}  // namespace nexus
