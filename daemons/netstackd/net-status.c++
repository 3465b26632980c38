#include "daemons/netstackd/net-status.h"

#include <kj/vector.h>

#include "daemons/netstackd/net-config.h"

namespace nexus {

NetStatus::NetStatus(kj::Timer& timer, kj::TimePoint started, kj::Function<kj::Maybe<NetNode&>()> node,
                     LinkCounters linkCounters)
    : timer(timer), started(started), node(kj::mv(node)), linkCounters(kj::mv(linkCounters)) {}

kj::Promise<void> NetStatus::snapshot(SnapshotContext context) {
  struct Entry {
    kj::String name;
    uint64_t value;
  };
  kj::Vector<Entry> entries;
  auto status = context.getResults().initStatus();
  status.setDaemon("netstackd");
  status.setUptimeMs((timer.now() - started) / kj::MILLISECONDS);
  for (auto& counter : linkCounters()) entries.add(Entry{kj::str("link.", counter.name), counter.value});
  auto maybeNode = node();
  KJ_IF_MAYBE (n, maybeNode) {
    bool hasAddress = n->stack.ipv4() != nullptr, linkUp = n->stack.linkState().up;
    status.setHealth(!linkUp      ? idl::DaemonStatus::Health::DEGRADED
                     : hasAddress ? idl::DaemonStatus::Health::UP
                                  : idl::DaemonStatus::Health::STARTING);
    status.setDetail(networkSentence(*n));
    n->stack.counters().forEach(
        [&](const char* name, uint64_t value) { entries.add(Entry{kj::str("stack.", name), value}); });
    n->counters.forEach([&](const char* name, uint64_t value) { entries.add(Entry{kj::str("net.", name), value}); });
    entries.add(Entry{kj::str("net.overQuota"), n->quotaCounters.refused});
  } else {
    status.setHealth(idl::DaemonStatus::Health::STARTING);
    status.setDetail("waiting for the link");
  }
  auto counters = status.initCounters(entries.size());
  for (kj::uint i = 0; i < counters.size(); i++) {
    counters[i].setName(entries[i].name);
    counters[i].setValue(entries[i].value);
  }
  return kj::READY_NOW;
}

}  // namespace nexus
