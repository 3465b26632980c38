#include "daemons/dsoftbusd/discovery/discovery-link.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/transport/net-transport.h"

namespace nexus {

namespace {

// All ones after the prefix. Null where there is no such address (IPv6, /31, /32).
kj::Maybe<IpAddress> broadcastOf(const IpAddress& address, kj::byte prefixLength) {
  if (!address.isV4() || prefixLength > 30) return nullptr;
  uint32_t hostBits = prefixLength == 0 ? ~uint32_t(0) : (uint32_t(1) << (32 - prefixLength)) - 1;
  return IpAddress::v4(address.v4Value() | hostBits);
}

// Empty when the group was joined, else why not. Only the end of the stack is an exception.
kj::Promise<kj::String> join(idl::UdpSocket::Client& socket, const IpAddress& group) {
  auto request = socket.joinGroupRequest();
  group.toIdl(request.initGroup());
  return request.send().then(
      [](capnp::Response<idl::UdpSocket::JoinGroupResults>&& response) -> kj::Promise<kj::String> {
        auto outcome = response.getOutcome();
        return outcome == idl::Outcome::OK ? kj::String() : kj::str("not joined: ", outcomeText(outcome));
      },
      [](kj::Exception&& exception) -> kj::Promise<kj::String> {
        if (exception.getType() == kj::Exception::Type::DISCONNECTED) return kj::mv(exception);
        return kj::str("not joined: ", exception.getDescription());
      });
}

}  // namespace

DiscoveryLink::DiscoveryLink(kj::Timer& timer, const AnnounceSettings& settings, kj::StringPtr name,
                             const kj::Array<kj::byte>& packet, DiscoveryCounters& counters, BusObserver& observer,
                             OnDatagram onDatagram)
    : timer(timer),
      settings(settings),
      linkName(name),
      packet(packet),
      counts(counters),
      observer(observer),
      onDatagram(kj::mv(onDatagram)) {}

kj::Promise<void> DiscoveryLink::open(idl::NetworkManager::Client net) {
  socket = nullptr;
  upTold = false;
  groups.clear();
  knownAddresses = nullptr;
  auto request = net.createUdpSocketRequest();
  request.getLocal().getAddress().setAny();
  request.getLocal().setPort(settings.port);
  auto response = co_await request.send();
  KJ_REQUIRE(response.getOutcome() == idl::Outcome::OK, "the discovery port cannot be bound", linkName, settings.port,
             outcomeText(response.getOutcome()));
  auto udp = response.getSocket();
  for (auto& group : settings.groups) {
    auto trouble = co_await join(udp, group);
    groups.add(Group{group, kj::mv(trouble)});
  }
  auto config = co_await net.getConfigRequest().send();
  takeConfig(config.getConfig());
  socket = kj::mv(udp);
  stack = kj::mv(net);
}

kj::Promise<void> DiscoveryLink::run() {
  return announceLoop().exclusiveJoin(answerLoop()).exclusiveJoin(receiveLoop()).exclusiveJoin(configLoop());
}

// ---- announcing

kj::Promise<void> DiscoveryLink::announceLoop() {
  auto interval = settings.firstInterval;
  for (;;) {
    auto before = restarts;
    co_await announceRound();
    if (restarts == before) co_await timer.afterDelay(interval).exclusiveJoin(restarted.wait());
    interval = restarts == before ? kj::min(interval * 2, settings.largestInterval) : settings.firstInterval;
  }
}

// A target that cannot be reached does not keep the others from being told.
kj::Promise<void> DiscoveryLink::announceRound() {
  ways.beginRound();
  bool groupWorks = false;
  auto report = [this](DiscoveryWay way, const IpAddress& to, const kj::Maybe<kj::String>& trouble) {
    KJ_IF_MAYBE (why, trouble)
      ways.failed(way, to, *why);
    else
      ways.sent(way, to);
  };
  for (auto& group : groups) {
    auto trouble = co_await announceTo({group.address, settings.port});
    if (trouble == nullptr && group.trouble.size() > 0) trouble = kj::str(group.trouble);
    groupWorks = groupWorks || trouble == nullptr;
    report(DiscoveryWay::MULTICAST, group.address, trouble);
  }
  auto targets = settings.broadcast ? kj::heapArray(broadcasts.asPtr()) : nullptr;  // may change meanwhile
  for (auto& to : targets) report(DiscoveryWay::BROADCAST, to.address, co_await announceTo(to));
  for (auto& to : settings.unicastPeers) report(DiscoveryWay::STATIC, to.address, co_await announceTo(to));
  auto news = ways.endRound();
  KJ_IF_MAYBE (line, news) {
    auto& link = linkName;
    auto& way = *line;
    KJ_LOG(INFO, "discovery in use", link, way);
  }
  if (!upTold && (groupWorks || (groups.empty() && counts.sent > 0))) {
    upTold = true;
    observer.onDiscoveryUp();
  }
}

// Null when it left, else why not; the stack's end is an exception.
kj::Promise<kj::Maybe<kj::String>> DiscoveryLink::announceTo(SocketAddress to) {
  auto request = KJ_ASSERT_NONNULL(socket).sendToRequest();
  to.toIdl(request.initTo());
  request.setData(packet);
  auto outcome = (co_await request.send()).getOutcome();
  if (outcome != idl::Outcome::OK) {
    counts.sendFailures++;
    co_return kj::str(outcomeText(outcome));
  }
  counts.sent++;
  observer.onAnnounceSent(to.address);
  co_return nullptr;
}

void DiscoveryLink::answer(const SocketAddress& to) {
  if (answers.size() >= MAX_ANSWERS) {
    counts.answersDropped++;
    return;
  }
  answers.push_back(to);
  answerWanted.fire();
}

kj::Promise<void> DiscoveryLink::answerLoop() {
  for (;;) {
    while (answers.empty()) co_await answerWanted.wait();
    auto to = answers.front();
    answers.pop_front();
    co_await announceTo(to);
  }
}

void DiscoveryLink::announceAgain() {
  restarts++;
  restarted.fire();
}

// ---- listening

kj::Promise<void> DiscoveryLink::receiveLoop() {
  for (;;) {
    auto response = co_await KJ_ASSERT_NONNULL(socket).recvFromRequest().send();
    counts.received++;
    onDatagram(SocketAddress::fromIdl(response.getFrom()), response.getData());
  }
}

kj::Promise<void> DiscoveryLink::configLoop() {
  uint32_t known = 0;
  for (;;) {
    auto request = KJ_ASSERT_NONNULL(stack).getConfigRequest();
    request.setKnown(known);
    auto response = co_await request.send();
    known = response.getConfig().getGeneration();
    takeConfig(response.getConfig());
  }
}

// New addresses, or a link that is up again: nobody knows that this node is there.
void DiscoveryLink::takeConfig(idl::NetConfig::Reader config) {
  kj::Vector<kj::byte> addresses;
  kj::Vector<IpAddress> own;
  addresses.add(config.getLinkUp() ? 1 : 0);
  broadcasts.clear();
  for (auto item : config.getAddresses()) {
    auto address = IpAddress::fromIdl(item.getAddress());
    addresses.addAll(address.bytes());
    own.add(address);
    KJ_IF_MAYBE (to, broadcastOf(address, item.getPrefixLength())) broadcasts.add(SocketAddress{*to, settings.port});
  }
  bool first = knownAddresses == nullptr;
  if (!first && knownAddresses == addresses) return;
  knownAddresses = addresses.releaseAsArray();
  observer.onAddresses(linkName, own);
  if (!first) announceAgain();
}

}  // namespace nexus
