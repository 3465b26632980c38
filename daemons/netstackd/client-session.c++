#include "daemons/netstackd/client-session.h"

#include <kj/debug.h>

namespace nexus {

ClientSession::ClientSession(NetNode& node)
    : theNode(kj::addRef(node)),
      theQuota(kj::refcounted<ClientQuota>(node.limits, node.quotaCounters)),
      streams(*this) {
  counters().clients++;
  counters().clientsNow++;
}

ClientSession::ClientSession(ClientSession& parent)
    : theNode(kj::addRef(*parent.theNode)), theQuota(kj::addRef(*parent.theQuota)), streams(*this) {
  counters().clients++;
  counters().clientsNow++;
}

ClientSession::~ClientSession() noexcept(false) {
  end();
}

void ClientSession::run(kj::Promise<void> stream) {
  if (!ended) streams.add(kj::mv(stream));
}

IcmpEcho& ClientSession::echo() {
  KJ_IF_MAYBE (e, icmp) return **e;
  return *icmp.emplace(kj::heap<IcmpEcho>(theNode->stack));
}

void ClientSession::requireRoomToWait(size_t waiting) {
  if (waiting < limits().pendingCalls) return;
  counters().pendingRefused++;
  kj::throwFatalException(
      KJ_EXCEPTION(OVERLOADED, "too many calls wait on this object already", limits().pendingCalls));
}

void ClientSession::end() {
  if (ended) return;
  ended = true;
  streams.clear();
  counters().clientsNow--;
}

}  // namespace nexus
