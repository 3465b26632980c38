#include "daemons/netstackd/client-quota.h"

#include <capnp/message.h>

namespace nexus {

NetLimits::NetLimits() {
  capnp::MallocMessageBuilder message;
  auto defaults = message.initRoot<idl::Limits>().asReader();
  tcpListeners = defaults.getTcpListeners();
  tcpSockets = defaults.getTcpSockets();
  udpSockets = defaults.getUdpSockets();
  pendingCalls = defaults.getPendingCalls();
  udpBacklogDatagrams = defaults.getUdpBacklogDatagrams();
  minted = defaults.getMinted();
  grants = defaults.getGrants();
  maxReadBytes = defaults.getMaxReadBytes();
  streamLingerMs = defaults.getStreamLingerMs();
}

void NetLimits::toIdl(idl::Limits::Builder builder) const {
  builder.setTcpListeners(tcpListeners);
  builder.setTcpSockets(tcpSockets);
  builder.setUdpSockets(udpSockets);
  builder.setPendingCalls(pendingCalls);
  builder.setUdpBacklogDatagrams(udpBacklogDatagrams);
  builder.setMinted(minted);
  builder.setGrants(grants);
  builder.setMaxReadBytes(maxReadBytes);
  builder.setStreamLingerMs(streamLingerMs);
}

ClientQuota::Ticket ClientQuota::take(Kind kind) {
  if (held(kind) >= bound(kind)) {
    counters.refused++;
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "this client holds as many as it may", bound(kind)));
  }
  return Ticket(kj::addRef(*this), kind);
}

kj::uint ClientQuota::bound(Kind kind) const {
  switch (kind) {
    case Kind::TCP_LISTENER:
      return limits.tcpListeners;
    case Kind::TCP_SOCKET:
      return limits.tcpSockets;
    case Kind::UDP_SOCKET:
      return limits.udpSockets;
    case Kind::MINTED:
      return limits.minted;
    case Kind::GRANT:
      return limits.grants;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
