#include "daemons/dsoftbusd/bus/peer-routes.h"

#include <algorithm>

namespace nexus {

void PeerRoutes::setTransport(size_t link, kj::Maybe<Transport&> transport) {
  while (transports.size() <= link) transports.add(nullptr);
  transports[link] = transport;
  startOver();
}

void PeerRoutes::setFixed(kj::Maybe<SocketAddress> address) {
  if (fixed == address) return;
  fixed = address;
  startOver();
}

bool PeerRoutes::setHeard(kj::ArrayPtr<const PeerRoute> routes) {
  if (routes == heard.asPtr()) return false;
  bool isNew = std::any_of(routes.begin(), routes.end(), [&](const PeerRoute& route) {
    return std::none_of(heard.begin(), heard.end(), [&](const PeerRoute& known) {
      return known.link == route.link && known.at.address == route.at.address;
    });
  });
  heard.clear();
  heard.addAll(routes);
  if (isNew) startOver();
  deniedInARow = 0;
  return true;
}

bool PeerRoutes::isHeardAt(const IpAddress& address) const {
  return std::any_of(heard.begin(), heard.end(), [&](const PeerRoute& route) { return route.at.address == address; });
}

bool PeerRoutes::isFixedAt(const IpAddress& address) const {
  return fixed.map([&](const SocketAddress& at) { return at.address == address; }).orDefault(false);
}

bool PeerRoutes::contains(const SocketAddress& to) const {
  auto choices = usable();
  return std::any_of(choices.begin(), choices.end(), [&](const Choice& choice) { return choice.to == to; });
}

bool PeerRoutes::hasLink() const {
  for (auto& transport : transports) {
    if (transport != nullptr) return true;
  }
  return false;
}

kj::Vector<PeerRoutes::Choice> PeerRoutes::usable() const {
  kj::Vector<Choice> result;
  auto add = [&](size_t link, const SocketAddress& to) {
    if (link >= transports.size()) return;
    KJ_IF_MAYBE (transport, transports[link]) result.add(Choice{*transport, to});
  };
  for (auto& route : heard) add(route.link, route.at);
  KJ_IF_MAYBE (to, fixed) {
    for (size_t link = 0; link < transports.size(); link++) {
      if (std::find(heard.begin(), heard.end(), PeerRoute{link, *to}) == heard.end()) add(link, *to);
    }
  }
  return result;
}

kj::Maybe<PeerRoutes::Choice> PeerRoutes::next() const {
  auto choices = usable();
  if (choices.size() == 0) return nullptr;
  return choices[turn % choices.size()];
}

void PeerRoutes::failed(bool denied) {
  turn++;
  deniedInARow = denied ? deniedInARow + 1 : 0;
}

bool PeerRoutes::allDenied() const {
  auto count = usable().size();
  return count > 0 && deniedInARow >= count;
}

void PeerRoutes::startOver() {
  turn = 0;
  deniedInARow = 0;
}

}  // namespace nexus
