#include "daemons/dsoftbusd/discovery/discovery.h"

#include <kj/debug.h>

namespace nexus {

namespace {

kj::Array<kj::byte> encodeOwn(const Announce& own) {
  auto encoded = encodeAnnounce(own);
  KJ_IF_MAYBE (error, encoded.tryGet<AnnounceError>()) KJ_FAIL_REQUIRE("this node cannot be announced", *error);
  return kj::mv(encoded.get<kj::Array<kj::byte>>());
}

kj::String meshText(kj::StringPtr mesh) {
  return mesh.size() == 0 ? kj::str("no mesh") : kj::str("the mesh \"", mesh, "\"");
}

}  // namespace

Discovery::Discovery(kj::Timer& timer, DiscoverySettings s, Announce announce, kj::ArrayPtr<const kj::String> names,
                     const TrustTable& trust, AuditLog& audit, BusObserver& observer, OnRoutes onRoutes)
    : timer(timer),
      settings(kj::mv(s)),
      own(kj::mv(announce)),
      packet(encodeOwn(own)),
      trust(trust),
      audit(audit),
      observer(observer),
      onRoutes(kj::mv(onRoutes)),
      table(timer.now(), settings.table),
      complaints(1, 10, 1),
      expiring(expireLoop().eagerlyEvaluate(
          [](kj::Exception&& exception) { KJ_LOG(ERROR, "peers no longer age", exception); })) {
  auto list = kj::heapArrayBuilder<kj::Own<DiscoveryLink>>(names.size());
  for (size_t i = 0; i < names.size(); i++) {
    list.add(kj::heap<DiscoveryLink>(
        timer, settings.announce, names[i], packet, counts, observer,
        [this, i](const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram) { take(i, from, datagram); }));
  }
  links = list.finish();
}

void Discovery::setServices(kj::Array<kj::String> services) {
  if (services.asPtr() == own.services.asPtr()) return;
  own.services = kj::mv(services);
  packet = encodeOwn(own);
  for (auto& link : links) link->announceAgain();
}

void Discovery::take(size_t link, const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram) {
  auto isTrusted = [&] {
    auto early = decodeAnnounce(datagram);
    auto announce = early.tryGet<Announce>();
    return announce != nullptr && isKnown(KJ_ASSERT_NONNULL(announce));
  };
  if (!table.admit(from.address, timer.now(), isTrusted)) {
    counts.flooded++;
    return;
  }
  auto decoded = decodeAnnounce(datagram);
  KJ_SWITCH_ONEOF(decoded) {
    KJ_CASE_ONEOF(error, AnnounceError) {
      counts.malformed++;
      if (complaints.tryTake("", timer.now())) {
        KJ_LOG(WARNING, "an announcement was ignored", from, error, counts.malformed);
      }
    }
    KJ_CASE_ONEOF(announce, Announce) {
      if (announce.deviceId == own.deviceId) {
        counts.own++;
      } else if (announce.sessionPort == 0) {
        counts.malformed++;
      } else {
        hear(link, kj::mv(announce), from.address);
      }
    }
  }
}

void Discovery::hear(size_t link, Announce announce, const IpAddress& from) {
  SocketAddress at{from, announce.sessionPort};
  if (announce.mesh != own.mesh) {
    counts.otherMesh++;
    ignore(announce, at,
           kj::str("it announces itself in ", meshText(announce.mesh), ", this node is in ", meshText(own.mesh)));
    return;
  }
  auto maybeTrusted = trust.findByDeviceId(announce.deviceId);
  KJ_IF_MAYBE (peer, maybeTrusted) {
    if (!isKnown(announce)) return takeWrongKey(announce, at, peer->name);
  }
  bool trusted = maybeTrusted != nullptr;
  auto deviceId = kj::str(announce.deviceId);
  auto result = table.hear(kj::mv(announce), {from, link}, trusted, timer.now());
  if (result == PeerTable::Heard::LEARNED) {
    KJ_IF_MAYBE (peer, maybeTrusted) {
      auto& name = peer->name;
      KJ_LOG(INFO, "peer learned", name, at, deviceId);
      links[link]->answer(SocketAddress{from, settings.announce.port});
    } else if (complaints.tryTake("", timer.now())) {
      KJ_LOG(WARNING, "a device that is not in the trust table announces itself", at, deviceId);
    }
    observer.onPeerLearned(deviceId, from);
  }
  bool wasIgnored = ignoredPeers.forget(deviceId);
  if (wasIgnored) ignoredChanges++;
  if (wasIgnored || result != PeerTable::Heard::UNCHANGED) changed.fire();
  if (trusted && result != PeerTable::Heard::REFUSED) tellRoutes(deviceId);
  heard.fire();
}

// The trust table has that device, with that key.
bool Discovery::isKnown(const Announce& announce) const {
  KJ_IF_MAYBE (peer, trust.findByDeviceId(announce.deviceId)) {
    return KJ_ASSERT_NONNULL(peer->find(announce.deviceId)).staticKey == announce.staticKey;
  }
  return false;
}

void Discovery::answer(kj::StringPtr deviceId) {
  KJ_IF_MAYBE (peer, table.peek(deviceId)) {
    auto& place = peer->place();
    links[place.link]->answer(SocketAddress{place.address, settings.announce.port});
  }
}

void Discovery::trustChanged() {
  // What anybody could announce of a device while it was not trusted.
  table.drop([this](const Announce& announce) {
    bool isForged = trust.findByDeviceId(announce.deviceId) != nullptr && !isKnown(announce);
    if (isForged) counts.wrongKey++;
    return isForged;
  });
  for (auto& deviceId : table.retrust([this](const Announce& announce) { return isKnown(announce); })) {
    auto& place = KJ_ASSERT_NONNULL(table.peek(deviceId)).place();
    tellRoutes(deviceId);
    links[place.link]->answer(SocketAddress{place.address, settings.announce.port});
  }
  changed.fire();
}

// Somebody else says that it is this peer, or the trust table has a wrong key. Never dialled.
void Discovery::takeWrongKey(const Announce& announce, const SocketAddress& at, kj::StringPtr peer) {
  counts.wrongKey++;
  ignore(announce, at, "it announces another static key than the trust table has");
  if (!complaints.tryTake("", timer.now())) return;
  KJ_LOG(WARNING, "identity mismatch: an announcement has another static key than the trust table", peer, at);
  audit.append(peer, "", "announce", CallStatus::UNAUTHENTICATED, 0);
}

void Discovery::ignore(const Announce& announce, const SocketAddress& at, kj::StringPtr reason) {
  if (ignoredPeers.note(announce.deviceId, at, reason, timer.now())) {
    ignoredChanges++;
    changed.fire();
  }
  heard.fire();
}

void Discovery::tellRoutes(kj::StringPtr deviceId) {
  kj::Vector<PeerRoute> routes;
  KJ_IF_MAYBE (peer, table.peek(deviceId)) {
    for (auto& seen : peer->places) {
      routes.add(PeerRoute{seen.place.link, {seen.place.address, seen.sessionPort}});
    }
  }
  onRoutes(deviceId, routes);
}

kj::Promise<void> Discovery::expireLoop() {
  for (;;) {
    auto next = table.nextExpiry();
    for (auto& entry : ignoredPeers.all()) {
      auto end = entry.lastHeard + settings.table.timeToLive;
      next = kj::min(end, next.orDefault(end));
    }
    KJ_IF_MAYBE (at, next) {
      co_await timer.atTime(kj::max(timer.now(), *at));
      expire();
    } else {
      co_await heard.wait();
    }
  }
}

void Discovery::expire() {
  auto touched = table.expire(timer.now());
  for (auto& deviceId : touched) {
    if (trust.findByDeviceId(deviceId) == nullptr) continue;  // anybody can make those come and go
    if (table.peek(deviceId) == nullptr) KJ_LOG(INFO, "peer aged out", deviceId);
    tellRoutes(deviceId);
  }
  bool fewerIgnored = ignoredPeers.expire(timer.now(), settings.table.timeToLive);
  if (fewerIgnored) ignoredChanges++;
  if (fewerIgnored || touched.size() > 0) changed.fire();
}

}  // namespace nexus
