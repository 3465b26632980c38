#include "tests/sim/sim-udp.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus::sim {

namespace {

constexpr size_t MAX_DATAGRAM = 65507;
constexpr size_t MAX_GROUPS = 8;

// The last address of the node's subnet.
IpAddress subnetBroadcast(const Node& node) {
  uint32_t hostBits = node.prefixLength == 32 ? 0 : ~uint32_t(0) >> node.prefixLength;
  return IpAddress::v4(node.address.v4Value() | hostBits);
}

class SimUdpSocket final : public idl::UdpSocket::Server {
 public:
  SimUdpSocket(kj::Own<UdpPort> port, kj::Own<ClientQuota> quota, ClientQuota::Ticket ticket, NetPolicy policy)
      : port(kj::mv(port)), quota(kj::mv(quota)), ticket(kj::mv(ticket)), policy(kj::mv(policy)) {}
  ~SimUdpSocket() noexcept(false) { port->close(); }

  kj::Promise<void> sendTo(SendToContext context) override {
    auto params = context.getParams();
    auto to = SocketAddress::fromIdl(params.getTo());
    auto data = params.getData();
    KJ_REQUIRE(data.size() <= MAX_DATAGRAM, "a datagram is at most 65507 bytes", data.size());
    bool allowed = policy.allows(NetPolicy::Action::UDP_SEND, to);
    context.getResults().setOutcome(allowed ? port->sendTo(to, data) : idl::Outcome::DENIED);
    return kj::READY_NOW;
  }

  kj::Promise<void> recvFrom(RecvFromContext context) override {
    if (port->receivers.size() >= quota->limits.pendingCalls)
      return KJ_EXCEPTION(OVERLOADED, "too many calls wait on this socket");
    return port->receive().then([context](UdpPort::Datagram datagram) mutable {
      auto results = context.getResults();
      datagram.from.toIdl(results.initFrom());
      results.setData(datagram.data);
    });
  }

  kj::Promise<void> joinGroup(JoinGroupContext context) override {
    auto group = IpAddress::fromIdl(context.getParams().getGroup());
    KJ_REQUIRE(group.isMulticast(), "not a multicast group", group);
    auto results = context.getResults();
    if (!policy.allows(NetPolicy::Action::UDP_BIND, {group, port->local.port})) {
      results.setOutcome(idl::Outcome::DENIED);
    } else if (!port->join(group)) {
      return KJ_EXCEPTION(OVERLOADED, "at most 8 groups a socket");
    } else {
      results.setOutcome(idl::Outcome::OK);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> close(CloseContext) override {
    port->close();
    return kj::READY_NOW;
  }

 private:
  kj::Own<UdpPort> port;
  kj::Own<ClientQuota> quota;
  ClientQuota::Ticket ticket;
  NetPolicy policy;
};

}  // namespace

UdpPort::UdpPort(Fabric& fabric, UdpCounters& counters, Node& node, SocketAddress local, kj::uint backlog)
    : local(local), fabric(fabric), counters(counters), node(node), backlog(backlog) {
  node.udpPorts[local.port] = this;
}

idl::Outcome UdpPort::sendTo(const SocketAddress& to, kj::ArrayPtr<const kj::byte> data) {
  if (closed) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the socket was closed"));
  counters.sent++;
  fabric.carry(data);
  auto everyone = IpAddress::v4(255, 255, 255, 255);
  bool toAll = to.address.isMulticast() || to.address == everyone ||
               (node.address.isV4() && to.address == subnetBroadcast(node));
  if (toAll) {
    if (fabric.wire == nullptr) {
      deliverToAll(to, data);
      return idl::Outcome::OK;
    }
    for (auto& other : fabric.allNodes()) {
      if (&other != &node && other.address.isIn(node.address, node.prefixLength)) deliver(other, to, data);
    }
    return idl::Outcome::OK;
  }
  KJ_IF_MAYBE (target, fabric.findAddress(to.address)) {
    deliver(*target, to, data);
    return idl::Outcome::OK;
  }
  // Nobody there: on the own subnet a sender cannot know, beyond it there is no route.
  return to.address.isIn(node.address, node.prefixLength) ? idl::Outcome::OK : idl::Outcome::UNREACHABLE;
}

bool UdpPort::hears(const IpAddress& target) const {
  if (target.isMulticast()) return std::find(groups.begin(), groups.end(), target) != groups.end();
  return local.address.isAny() || local.address == target;
}

void UdpPort::deliver(Node& to, const SocketAddress& target, kj::ArrayPtr<const kj::byte> data) {
  kj::Vector<kj::Duration> copies;
  KJ_IF_MAYBE (wire, fabric.wire) {
    wire->onDatagram(node, to, data, fabric.latency, copies);
    if (copies.empty()) fabric.lost++;
  } else {
    copies.add(fabric.latency);
  }
  for (auto delay : copies) {
    Datagram datagram{{node.address, local.port}, kj::heapArray(data)};
    fabric.sendUnreliable(
        node, to, delay,
        [&fabric = fabric, &counters = counters, &from = node, &to, target, datagram = kj::mv(datagram)]() mutable {
          KJ_IF_MAYBE (wire, fabric.wire) wire->onArrival(0, from, to, datagram.data.size());
          handOver(counters, to, target, kj::mv(datagram));
        });
  }
}

// One event for all receivers, so that a thousand of them cost no thousand timers.
void UdpPort::deliverToAll(const SocketAddress& target, kj::ArrayPtr<const kj::byte> data) {
  Datagram datagram{{node.address, local.port}, kj::heapArray(data)};
  fabric.later([&fabric = fabric, &counters = counters, &from = node, target, datagram = kj::mv(datagram)]() {
    for (auto& to : fabric.allNodes()) {
      if (&to == &from || !to.address.isIn(from.address, from.prefixLength)) continue;
      if (fabric.connected(from, to)) {
        handOver(counters, to, target, Datagram{datagram.from, kj::heapArray(datagram.data.asPtr())});
      } else {
        fabric.lost++;
      }
    }
  });
}

void UdpPort::handOver(UdpCounters& counters, Node& to, const SocketAddress& target, Datagram datagram) {
  auto found = to.udpPorts.find(target.port);
  if (found == to.udpPorts.end() || !found->second->hears(target.address)) {
    counters.noPort++;
    return;
  }
  found->second->arrived(kj::mv(datagram));
}

void UdpPort::arrived(Datagram datagram) {
  counters.delivered++;
  if (queue.size() >= backlog) {
    counters.backlogDropped++;
    queue.pop_front();
  }
  queue.push_back(kj::mv(datagram));
  receivers.wake();
}

kj::Promise<UdpPort::Datagram> UdpPort::receive() {
  auto self = kj::addRef(*this);
  WaitQueue::Turn turn(receivers);
  while (!closed && !(turn.isFirst() && !queue.empty())) co_await turn.wait();
  if (closed) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the socket was closed"));
  auto datagram = kj::mv(queue.front());
  queue.pop_front();
  co_return kj::mv(datagram);
}

bool UdpPort::join(const IpAddress& group) {
  if (std::find(groups.begin(), groups.end(), group) != groups.end()) return true;
  if (groups.size() >= MAX_GROUPS) return false;
  groups.push_back(group);
  return true;
}

void UdpPort::close() {
  if (closed) return;
  closed = true;
  node.udpPorts.erase(local.port);
  receivers.wake();
}

idl::UdpSocket::Client newUdpSocket(kj::Own<UdpPort> port, kj::Own<ClientQuota> quota, ClientQuota::Ticket ticket,
                                    NetPolicy policy) {
  return kj::heap<SimUdpSocket>(kj::mv(port), kj::mv(quota), kj::mv(ticket), kj::mv(policy));
}

}  // namespace nexus::sim
