#pragma once
// UDP of sim-network: bound ports with a bounded backlog, unicast, subnet broadcast and multicast to joined ports, and
// the capability server on top. Datagrams keep their boundaries; those to a node that is cut are lost. Knows nothing of
// TCP.
#include <set>

#include "daemons/netstackd/client-quota.h"
#include "daemons/netstackd/net-policy.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "tests/sim/sim-fabric.h"

namespace nexus::sim {

struct UdpCounters {
  uint64_t sent = 0, delivered = 0, noPort = 0, backlogDropped = 0;
};

// A bound port: reachable through node.udpPorts while it lives.
class UdpPort final : public kj::Refcounted {
 public:
  UdpPort(Fabric& fabric, UdpCounters& counters, Node& node, SocketAddress local, kj::uint backlog);
  ~UdpPort() noexcept(false) { close(); }

  struct Datagram {
    SocketAddress from;
    kj::Array<kj::byte> data;
  };

  idl::Outcome sendTo(const SocketAddress& to, kj::ArrayPtr<const kj::byte> data);
  kj::Promise<Datagram> receive();
  bool join(const IpAddress& group);  // false when it holds as many groups as it may
  void close();

  const SocketAddress local;
  WaitQueue receivers;

 private:
  Fabric& fabric;
  UdpCounters& counters;
  Node& node;
  kj::uint backlog;
  bool closed = false;
  std::deque<Datagram> queue;
  std::deque<IpAddress> groups;

  bool hears(const IpAddress& target) const;
  void deliver(Node& to, const SocketAddress& target, kj::ArrayPtr<const kj::byte> data);
  void deliverToAll(const SocketAddress& target, kj::ArrayPtr<const kj::byte> data);
  static void handOver(UdpCounters& counters, Node& to, const SocketAddress& target, Datagram datagram);
  void arrived(Datagram datagram);
};

idl::UdpSocket::Client newUdpSocket(kj::Own<UdpPort> port, kj::Own<ClientQuota> quota, ClientQuota::Ticket ticket,
                                    NetPolicy policy);

}  // namespace nexus::sim
