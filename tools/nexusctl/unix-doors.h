#pragma once
// Doors of this machine: connects to Unix sockets. Owned by main; the connections live as long as this.
#include <kj/async-io.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "tools/nexusctl/doors.h"
#include "tools/nexusctl/stdin-console.h"

namespace nexus::ctl {

class UnixDoors final : public Doors {
 public:
  explicit UnixDoors(kj::AsyncIoContext& io) : io(io), person(io) {}

  kj::OneOf<capnp::Capability::Client, Closed> open(kj::StringPtr path) override;
  kj::Timer& timer() override { return io.provider->getTimer(); }
  const kj::Clock& calendar() override { return kj::systemPreciseCalendarClock(); }
  Console& console() override { return person; }

 private:
  kj::AsyncIoContext& io;
  StdinConsole person;
  kj::Vector<kj::Own<CapConnection>> connections;
};

}  // namespace nexus::ctl
