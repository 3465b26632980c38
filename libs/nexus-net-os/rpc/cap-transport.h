#pragma once
// Cap'n Proto RPC over Unix sockets, both ends, with bounds. CapServer gives every connection a bootstrap object of its
// own, made by a factory, so that whatever a client holds dies with its connection. CapConnection is the client's end
// of one connection. Owned by the daemon that wires them. Knows nothing of which interface is spoken.
#include <capnp/capability.h>
#include <kj/async-io.h>
#include <kj/function.h>

namespace nexus {

struct RpcLimits {
  kj::uint maxConnections = 64;               // more are closed at once and counted
  kj::uint maxFdsPerMessage = 8;              // descriptors
  uint64_t traversalLimitWords = 512 * 1024;  // 4 MiB a message
  int nestingLimit = 32;                      // levels of pointers
  size_t flowLimitBytes = 4 * 1024 * 1024;    // unanswered calls of one connection; then reading from it pauses

  // For the two ends of the largest reply in idl/, a bundle image of 16 MiB: clients have these bounds by themselves,
  // and its server needs them too, because Cap'n Proto sends only what it would read.
  static RpcLimits forLargeMessages() { return {.traversalLimitWords = 17 * 1024 * 1024 / sizeof(uint64_t)}; }
};

// Who is at the other end, as the kernel says it (SO_PEERCRED). -1 when it does not say.
struct PeerCredentials {
  int pid = -1;
  int uid = -1;
};

class CapServer final : private kj::TaskSet::ErrorHandler {
 public:
  // Makes the bootstrap object of one connection; it is dropped when the connection ends.
  using Factory = kj::Function<capnp::Capability::Client(const PeerCredentials&)>;

  explicit CapServer(Factory factory, const RpcLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(CapServer);

  // Serves one connected stream until it ends.
  void accept(kj::Own<kj::AsyncCapabilityStream> connection);

  // Accepts until cancelled. The listener must be a Unix socket.
  kj::Promise<void> listenLoop(kj::Own<kj::ConnectionReceiver> listener);

  kj::uint connectionCount() const { return connections; }
  uint64_t refusedCount() const { return refused; }

 private:
  Factory factory;
  RpcLimits limits;
  kj::uint connections = 0;
  uint64_t refused = 0;
  kj::TaskSet tasks;

  kj::Promise<void> serve(kj::Own<kj::AsyncCapabilityStream> connection);
  void taskFailed(kj::Exception&& exception) override;  // one connection ended badly: logged
};

// The client's end. Dropping it closes the connection.
class CapConnection {
 public:
  explicit CapConnection(kj::Own<kj::AsyncCapabilityStream> stream,
                         const RpcLimits& limits = RpcLimits::forLargeMessages());
  ~CapConnection() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CapConnection);

  // The same object each time; its calls fail as DISCONNECTED once the connection has ended.
  capnp::Capability::Client bootstrap();

  // Resolves when the connection has ended.
  kj::Promise<void> onDisconnect();

 private:
  struct Impl;
  kj::Own<Impl> impl;
};

}  // namespace nexus
