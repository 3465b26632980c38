#pragma once
// netstackd's Status: health, one sentence, and every counter of the stack, the servers and the link. Reads only.
#include <kj/function.h>
#include <kj/timer.h>

#include "daemons/netstackd/net-node.h"
#include "idl/status.capnp.h"

namespace nexus {

class NetStatus final : public idl::Status::Server {
 public:
  struct Counter {
    kj::StringPtr name;  // of static lifetime
    uint64_t value;
  };
  // Every counter of the link below the stack; names without the "link." in front.
  using LinkCounters = kj::Function<kj::Array<Counter>()>;

  // `started` is when the daemon was. `node` comes when the stack is there; until then the health is `starting`.
  NetStatus(kj::Timer& timer, kj::TimePoint started, kj::Function<kj::Maybe<NetNode&>()> node,
            LinkCounters linkCounters);

  kj::Promise<void> snapshot(SnapshotContext context) override;

 private:
  kj::Timer& timer;
  kj::TimePoint started;
  kj::Function<kj::Maybe<NetNode&>()> node;
  LinkCounters linkCounters;
};

}  // namespace nexus
