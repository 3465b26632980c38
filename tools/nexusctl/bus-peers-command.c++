#include "tools/nexusctl/bus-peers-command.h"

#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus::ctl {

namespace {

kj::StringPtr stateName(idl::SessionState state) {
  switch (state) {
    case idl::SessionState::IDLE:
      return "idle"_kj;
    case idl::SessionState::DIALING:
      return "dialing"_kj;
    case idl::SessionState::HANDSHAKING:
      return "handshaking"_kj;
    case idl::SessionState::READY:
      return "ready"_kj;
    case idl::SessionState::BACKOFF:
      return "backoff"_kj;
    case idl::SessionState::REFUSED:
      return "refused"_kj;
    case idl::SessionState::UNTRUSTED:
      return "untrusted"_kj;
    case idl::SessionState::IGNORED:
      return "ignored"_kj;
  }
  return "unknown"_kj;
}

// "9a04..17": enough to tell two devices apart on a screen; --json has all digits.
kj::String shortId(kj::StringPtr id) {
  if (id.size() < 8) return kj::str(id);
  return kj::str(id.slice(0, 4), "..", id.slice(id.size() - 2));
}

// A peer whose announcements do not come here may have a session all the same: it has dialled, or a configured address
// was.
kj::String seenText(idl::PeerInfo::Reader peer) {
  if (peer.getHeard()) return durationText(peer.getAgeMs());
  return kj::str(peer.getState() == idl::SessionState::READY ? "in session" : "never");
}

Json peerJson(idl::PeerInfo::Reader peer, kj::StringPtr address) {
  Json item;
  item.set("name", clean(peer.getName())).set("deviceId", clean(peer.getDeviceId()));
  item.set("state", stateName(peer.getState())).set("reason", clean(peer.getReason()));
  item.set("address", address)
      .set("heard", peer.getHeard())
      .set("link", clean(peer.getLink()))
      .set("ageMs", uint64_t(peer.getAgeMs()));
  auto services = Json::array();
  for (auto service : peer.getServices()) services.add(clean(service));
  item.set("services", kj::mv(services));
  return item;
}

class BusPeersCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus peers"_kj; }
  kj::StringPtr about() const override {
    return "peers of this node, their sessions and why they are in that state"_kj;
  }
  kj::StringPtr example() const override { return ""_kj; }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto response = co_await opened.get<idl::DSoftBus::Client>().peersRequest().send();
    Report report;
    report.json = document("nexus.peers/1");
    auto list = Json::array();
    Table table(row("PEER", "ID", "STATE", "ADDRESS", "SEEN", "WHY"));
    for (auto peer : response.getPeers()) {
      bool isKnown = peer.hasAddress() && peer.getAddress().getPort() != 0;
      auto address = isKnown ? kj::str(SocketAddress::fromIdl(peer.getAddress())) : kj::String();
      table.add(row(peer.getName().size() > 0 ? peer.getName() : "?"_kj, shortId(peer.getDeviceId()),
                    stateName(peer.getState()), isKnown ? kj::str(address) : kj::str("-"), seenText(peer),
                    peer.getReason()));
      list.add(peerJson(peer, address));
    }
    report.json.set("peers", kj::mv(list));
    report.text = response.getPeers().size() > 0 ? table.text() : kj::str("no peers: none trusted, none heard\n");
    co_return report;
  }
};

}  // namespace

kj::Own<Command> newBusPeersCommand() {
  return kj::heap<BusPeersCommand>();
}

}  // namespace nexus::ctl
