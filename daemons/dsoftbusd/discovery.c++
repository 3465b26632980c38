#include "daemons/dsoftbusd/discovery.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/net-transport.h"

namespace nexus {

namespace {

kj::Array<kj::byte> encodeOwn(const Announce& own) {
  auto encoded = encodeAnnounce(own);
  KJ_IF_MAYBE (error, encoded.tryGet<AnnounceError>()) KJ_FAIL_REQUIRE("this node cannot be announced", *error);
  return kj::mv(encoded.get<kj::Array<kj::byte>>());
}

// All ones after the prefix. Null where there is no such address (IPv6, /31, /32).
kj::Maybe<IpAddress> broadcastOf(const IpAddress& address, kj::byte prefixLength) {
  if (!address.isV4() || prefixLength > 30) return nullptr;
  uint32_t hostBits = prefixLength == 0 ? ~uint32_t(0) : (uint32_t(1) << (32 - prefixLength)) - 1;
  return IpAddress::v4(address.v4Value() | hostBits);
}

}  // namespace

Discovery::Discovery(kj::Timer& timer, DiscoverySettings s, Announce announce, const TrustTable& trust, AuditLog& audit,
                     BusObserver& observer, OnAddress onAddress)
    : timer(timer),
      settings(kj::mv(s)),
      own(kj::mv(announce)),
      packet(encodeOwn(own)),
      trust(trust),
      audit(audit),
      observer(observer),
      onAddress(kj::mv(onAddress)),
      table(timer.now(), settings.table),
      complaints(1, 10, 1) {}

kj::Promise<void> Discovery::open(idl::NetworkManager::Client net) {
  socket = nullptr;
  groupJoined = false;
  announced = false;
  auto request = net.createUdpSocketRequest();
  request.getLocal().getAddress().setAny();
  request.getLocal().setPort(settings.port);
  auto response = co_await request.send();
  KJ_REQUIRE(response.getOutcome() == idl::Outcome::OK, "the discovery port cannot be bound", settings.port,
             outcomeText(response.getOutcome()));
  auto udp = response.getSocket();
  KJ_IF_MAYBE (group, settings.group) {
    auto join = udp.joinGroupRequest();
    group->toIdl(join.initGroup());
    auto outcome = (co_await join.send()).getOutcome();
    groupJoined = outcome == idl::Outcome::OK;
    if (!groupJoined) KJ_LOG(WARNING, "discovery group not joined", *group, outcomeText(outcome));
  }
  auto config = co_await net.getConfigRequest().send();
  takeConfig(config.getConfig());
  socket = kj::mv(udp);
  stack = kj::mv(net);
}

kj::Promise<void> Discovery::run() {
  return announceLoop()
      .exclusiveJoin(answerLoop())
      .exclusiveJoin(receiveLoop())
      .exclusiveJoin(expireLoop())
      .exclusiveJoin(configLoop());
}

// ---- announcing

kj::Promise<void> Discovery::announceLoop() {
  auto interval = settings.firstInterval;
  for (;;) {
    co_await announceOnce();
    co_await timer.afterDelay(interval);
    interval = kj::min(interval * 2, settings.largestInterval);
  }
}

kj::Promise<void> Discovery::announceOnce() {
  kj::Vector<Target> targets;
  KJ_IF_MAYBE (group, settings.group) targets.add(Target{Way::MULTICAST, {*group, settings.port}});
  if (settings.broadcast) {
    for (auto& to : broadcasts) targets.add(Target{Way::BROADCAST, to});
  }
  for (auto& to : settings.unicastPeers) targets.add(Target{Way::UNICAST, to});
  for (auto& target : targets) co_await announceTo(target);
  if (!announced && counts.sent > 0) {
    announced = true;
    if (groupJoined || settings.group == nullptr) observer.onDiscoveryUp();
  }
}

// A target that cannot be reached does not keep the others from being told; the stack's end is an exception.
kj::Promise<void> Discovery::announceTo(Target target) {
  auto request = KJ_ASSERT_NONNULL(socket).sendToRequest();
  target.to.toIdl(request.initTo());
  request.setData(packet);
  auto outcome = (co_await request.send()).getOutcome();
  if (outcome != idl::Outcome::OK) {
    if (counts.sendFailures++ == 0) KJ_LOG(WARNING, "an announcement was not sent", target.to, outcomeText(outcome));
    co_return;
  }
  counts.sent++;
  if (!wayLogged) {
    wayLogged = true;
    static constexpr kj::StringPtr NAMES[] = {"multicast"_kj, "broadcast"_kj, "unicast"_kj};
    auto way = NAMES[uint8_t(target.way)];
    KJ_LOG(INFO, "the first announcement left", way, target.to);
  }
  observer.onAnnounceSent();
}

kj::Promise<void> Discovery::answerLoop() {
  for (;;) {
    while (answers.empty()) co_await answerWanted.wait();
    auto to = answers.front();
    answers.pop_front();
    co_await announceTo(Target{Way::UNICAST, to});
  }
}

kj::Promise<void> Discovery::configLoop() {
  uint32_t known = 0;
  for (;;) {
    auto request = KJ_ASSERT_NONNULL(stack).getConfigRequest();
    request.setKnown(known);
    auto response = co_await request.send();
    known = response.getConfig().getGeneration();
    takeConfig(response.getConfig());
  }
}

void Discovery::takeConfig(idl::NetConfig::Reader config) {
  broadcasts.clear();
  for (auto address : config.getAddresses()) {
    KJ_IF_MAYBE (to, broadcastOf(IpAddress::fromIdl(address.getAddress()), address.getPrefixLength())) {
      broadcasts.add(SocketAddress{*to, settings.port});
    }
  }
}

// ---- listening

kj::Promise<void> Discovery::receiveLoop() {
  for (;;) {
    auto response = co_await KJ_ASSERT_NONNULL(socket).recvFromRequest().send();
    counts.received++;
    take(SocketAddress::fromIdl(response.getFrom()), response.getData());
  }
}

void Discovery::take(const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram) {
  if (!table.admit(from.address, timer.now())) {
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
        hear(kj::mv(announce), from.address);
      }
    }
  }
}

void Discovery::hear(Announce announce, const IpAddress& from) {
  auto maybeTrusted = trust.findByDeviceId(announce.deviceId);
  KJ_IF_MAYBE (peer, maybeTrusted) {
    if (!isKnown(announce)) {
      // Somebody else says that it is this peer, or the trust table has a wrong key. Never dialled.
      counts.wrongKey++;
      if (complaints.tryTake("", timer.now())) {
        KJ_LOG(WARNING, "identity mismatch: an announcement has another static key than the trust table", peer->name,
               from);
        audit.append(peer->name, "", "announce", CallStatus::UNAUTHENTICATED, 0);
      }
      return;
    }
  }
  bool trusted = maybeTrusted != nullptr;
  auto deviceId = kj::str(announce.deviceId);
  SocketAddress at{from, announce.sessionPort};
  auto result = table.hear(kj::mv(announce), from, trusted, timer.now());
  if (result == PeerTable::Heard::LEARNED) {
    KJ_IF_MAYBE (peer, maybeTrusted) {
      auto& name = peer->name;
      KJ_LOG(INFO, "peer learned", name, at, deviceId);
      answer(SocketAddress{from, settings.port});
    } else if (complaints.tryTake("", timer.now())) {
      KJ_LOG(WARNING, "a device that is not in the trust table announces itself", at, deviceId);
    }
    observer.onPeerLearned(deviceId);
  }
  if (result != PeerTable::Heard::UNCHANGED) changed.fire();
  if (trusted && result != PeerTable::Heard::REFUSED) onAddress(deviceId, at);
  heard.fire();
}

// The trust table has that device, with that key.
bool Discovery::isKnown(const Announce& announce) const {
  KJ_IF_MAYBE (peer, trust.findByDeviceId(announce.deviceId)) {
    return KJ_ASSERT_NONNULL(peer->find(announce.deviceId)).staticKey == announce.staticKey;
  }
  return false;
}

void Discovery::trustChanged() {
  for (auto& deviceId : table.retrust([this](const Announce& announce) { return isKnown(announce); })) {
    auto& peer = KJ_ASSERT_NONNULL(table.peek(deviceId));
    onAddress(deviceId, SocketAddress{peer.address, peer.announce.sessionPort});
    answer(SocketAddress{peer.address, settings.port});
  }
  changed.fire();
}

void Discovery::answer(const SocketAddress& to) {
  if (answers.size() >= MAX_ANSWERS) {
    counts.answersDropped++;
    return;
  }
  answers.push_back(to);
  answerWanted.fire();
}

kj::Promise<void> Discovery::expireLoop() {
  for (;;) {
    KJ_IF_MAYBE (at, table.nextExpiry()) {
      co_await timer.atTime(kj::max(timer.now(), *at));
    } else {
      co_await heard.wait();
      continue;
    }
    auto gone = table.expire(timer.now());
    for (auto& deviceId : gone) {
      KJ_LOG(INFO, "peer aged out", deviceId);
      if (trust.findByDeviceId(deviceId) != nullptr) onAddress(deviceId, nullptr);
    }
    if (gone.size() > 0) changed.fire();
  }
}

}  // namespace nexus
