#pragma once
// How a command reaches the daemons, by the path of a Unix socket and nothing else, and the person who runs it. Owned
// by main, or by a test, which hands in capabilities of its own. Knows nothing of what is served there.
#include <capnp/capability.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <kj/time.h>
#include <kj/timer.h>

#include "tools/nexusctl/console.h"

namespace nexus::ctl {

enum class Closed {
  NO_SOCKET,    // no such path: the daemon was never started
  NOT_RUNNING,  // a socket, and nobody listens
  FORBIDDEN,    // the socket belongs to another user
  BUSY,         // too many clients wait to be accepted
};

class Doors {
 public:
  virtual ~Doors() noexcept(false) = default;

  // The bootstrap object behind that socket. Calls fail as DISCONNECTED when its server goes.
  virtual kj::OneOf<capnp::Capability::Client, Closed> open(kj::StringPtr path) = 0;

  virtual kj::Timer& timer() = 0;
  virtual const kj::Clock& calendar() = 0;  // wall-clock time

  // The person who runs the command.
  virtual Console& console() = 0;
};

}  // namespace nexus::ctl
