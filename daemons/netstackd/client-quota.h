#pragma once
// How much one client of a NetworkManager holds at once, against its bound (Limits in idl/net.capnp). Shared by the
// manager, whatever was narrowed from it, and everything they made; each thing made keeps a Ticket. Knows nothing of
// what is counted.
#include <kj/debug.h>
#include <kj/refcount.h>

#include "idl/net.capnp.h"

namespace nexus {

// The bounds as plain numbers; the schema's defaults unless a test asks for less.
struct NetLimits {
  uint16_t tcpListeners, tcpSockets, udpSockets, pendingCalls, udpBacklogDatagrams, minted, grants;
  uint32_t maxReadBytes;
  uint32_t streamLingerMs;  // from the close of a stream's descriptor to the reset

  NetLimits();
  void toIdl(idl::Limits::Builder builder) const;
};

class ClientQuota final : public kj::Refcounted {
 public:
  enum class Kind { TCP_LISTENER, TCP_SOCKET, UDP_SOCKET, MINTED, GRANT };
  static constexpr kj::uint KIND_COUNT = 5;

  // Says how often this and all other clients were refused; outlives every quota.
  struct Counters {
    uint64_t refused = 0;
  };

  // One of the things counted. Dropping it makes room.
  class Ticket {
   public:
    Ticket(kj::Own<ClientQuota> quota, Kind kind) : quota(kj::mv(quota)), kind(kind) { this->quota->held(kind)++; }
    Ticket(Ticket&&) = default;
    ~Ticket() noexcept(false) {
      if (quota.get() != nullptr) quota->held(kind)--;
    }

   private:
    kj::Own<ClientQuota> quota;
    Kind kind;
  };

  ClientQuota(const NetLimits& limits, Counters& counters) : limits(limits), counters(counters) {}

  // OVERLOADED, and counted, at the bound.
  Ticket take(Kind kind);

  kj::uint heldNow(Kind kind) const { return counts[static_cast<kj::uint>(kind)]; }

  const NetLimits limits;

 private:
  Counters& counters;
  kj::uint counts[KIND_COUNT] = {};

  kj::uint& held(Kind kind) { return counts[static_cast<kj::uint>(kind)]; }
  kj::uint bound(Kind kind) const;
};

}  // namespace nexus
