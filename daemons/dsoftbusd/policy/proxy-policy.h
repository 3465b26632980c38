#pragma once
// Who may call what: a table (peer, service, operation), and everything that is not in it is denied. Owned by the
// remote proxy. Pure data: knows nothing of sessions or frames; a peer is the name that the trust table gave it after
// its key was proven.
#include <kj/array.h>
#include <kj/map.h>
#include <kj/string.h>

namespace nexus {

// A rule about a stream that a peer opens: the service is this and the stream's name, the operation is this.
constexpr kj::StringPtr STREAM_SERVICE_PREFIX = "stream:"_kj;
constexpr kj::StringPtr STREAM_OPERATION = "open"_kj;

struct PolicyRule {
  kj::String peer;
  kj::String service;
  kj::Array<kj::String> operations;
};

class ProxyPolicy {
 public:
  // An empty table: allows nothing.
  ProxyPolicy() = default;
  explicit ProxyPolicy(kj::ArrayPtr<const PolicyRule> rules);
  KJ_DISALLOW_COPY(ProxyPolicy);
  ProxyPolicy(ProxyPolicy&&) = default;
  ProxyPolicy& operator=(ProxyPolicy&&) = default;

  // Exact match of all three; there are no wildcards.
  bool allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) const;

  // Whether any operation of the service is allowed to the peer.
  bool names(kj::StringPtr peer, kj::StringPtr service) const;

  // How many (peer, service, operation) triples are allowed.
  size_t size() const { return allowed.size(); }

 private:
  kj::HashSet<kj::String> allowed;   // peer, service, operation
  kj::HashSet<kj::String> services;  // peer, service
};

}  // namespace nexus
