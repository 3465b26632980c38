#include "daemons/dsoftbusd/server/peer-report.h"

namespace nexus {

namespace {

using State = idl::SessionState;

class Reporter {
 public:
  Reporter(Bus& bus, const Discovery& discovery, kj::TimePoint now) : bus(bus), discovery(discovery), now(now) {}

  void fill(idl::DSoftBus::PeersResults::Builder results) {
    kj::Vector<const Peer*> strangers;
    for (auto* peer : discovery.peers().all()) {
      if (bus.findLink(peer->announce.deviceId) == nullptr) strangers.add(peer);
    }
    kj::Vector<const IgnoredPeer*> ignored;
    for (auto& peer : discovery.ignored().all()) {
      if (bus.findLink(peer.deviceId) == nullptr) ignored.add(&peer);
    }
    auto list = results.initPeers(bus.links().size() + strangers.size() + ignored.size());
    size_t at = 0;
    for (auto& link : bus.links()) fillTrusted(list[at++], *link);
    for (auto* peer : strangers) {
      auto out = list[at++];
      out.setDeviceId(peer->announce.deviceId);
      out.setState(State::UNTRUSTED);
      out.setReason("announces itself, but is not in the trust table");
      fillHeard(out, *peer);
    }
    for (auto* peer : ignored) {
      auto out = list[at++];
      out.setDeviceId(peer->deviceId);
      out.setState(State::IGNORED);
      out.setReason(ignoredText(*peer));
      peer->at.toIdl(out.initAddress());
      out.setHeard(true);
      out.setAgeMs((now - peer->lastHeard) / kj::MILLISECONDS);
    }
  }

 private:
  Bus& bus;
  const Discovery& discovery;
  kj::TimePoint now;

  static kj::String ignoredText(const IgnoredPeer& peer) {
    return kj::str(peer.reason, " (", peer.count, peer.count == 1 ? " announcement" : " announcements", " ignored)");
  }

  void fillTrusted(idl::PeerInfo::Builder out, PeerLink& link) {
    auto& deviceId = link.knownAs().deviceId;
    out.setName(link.peer().name);
    out.setDeviceId(deviceId);
    out.setState(link.state());
    out.setReason(link.reason());
    KJ_IF_MAYBE (peer, discovery.peers().peek(deviceId))
      fillHeard(out, *peer);
    else
      fillUnheard(out, link);
    KJ_IF_MAYBE (ignored, discovery.ignored().find(deviceId)) {
      if (link.state() != State::READY) out.setReason(kj::str(link.reason(), "; ", ignoredText(*ignored)));
    }
  }

  // A session that the peer dialled, or that was dialled by a configured address.
  static void fillUnheard(idl::PeerInfo::Builder out, PeerLink& link) {
    KJ_IF_MAYBE (place, link.sessionPlace())
      place->toIdl(out.initAddress());
    else
      out.initAddress().initAddress().setAny();
  }

  void fillHeard(idl::PeerInfo::Builder out, const Peer& peer) {
    peer.session().toIdl(out.initAddress());
    out.setHeard(true);
    out.setLink(discovery.linkName(peer.place().link));
    out.setAgeMs((now - peer.lastHeard) / kj::MILLISECONDS);
    auto services = out.initServices(peer.announce.services.size());
    for (auto i : kj::indices(peer.announce.services)) services.set(i, peer.announce.services[i]);
  }
};

}  // namespace

void reportPeers(Bus& bus, const Discovery& discovery, kj::TimePoint now,
                 idl::DSoftBus::PeersResults::Builder results) {
  Reporter(bus, discovery, now).fill(results);
}

}  // namespace nexus
