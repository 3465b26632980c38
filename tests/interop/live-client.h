#pragma once
// A program at the sockets of live nodes (live-node.h). Owned by a test, on a thread of its own event loop; its
// connections end with it.
#include <kj/async-io.h>

#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "tests/interop/live-node.h"

namespace nexus::interop {

class LiveClient {
 public:
  template <typename Interface>
  typename Interface::Client connect(LiveNode& node, kj::StringPtr name) {
    auto path = kj::str("unix:", node.dsoftbusd().socketPath(name));
    auto address = io.provider->getNetwork().parseAddress(path).wait(io.waitScope);
    auto stream = address->connect().wait(io.waitScope).downcast<kj::AsyncCapabilityStream>();
    return connections.add(kj::heap<CapConnection>(kj::mv(stream)))->bootstrap().template castAs<Interface>();
  }

  template <typename T>
  auto wait(T&& promise) {
    return promise.wait(io.waitScope);
  }

 private:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::Vector<kj::Own<CapConnection>> connections;
};

}  // namespace nexus::interop
