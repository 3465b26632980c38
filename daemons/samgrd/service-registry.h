#pragma once
// Which services exist on this node, as their clients registered them. A registration belongs to the client that made
// it: only that client finds its slots again, nobody else can overwrite it, and all that others learn is whether a name
// exists. Owned by Samgrd; pure, bounded. Registrations last until the daemon ends: they say that a service was
// started, not that it is well.
#include <kj/common.h>
#include <kj/string.h>

#include <map>
#include <string>

namespace nexus {

struct RegistryLimits {
  size_t total = 256;
  size_t perClient = 64;
};

struct ServiceSlots {
  uint32_t send, recv;  // numbers that mean something to the client alone
};

class ServiceRegistry {
 public:
  using Name = kj::ArrayPtr<const char>;  // bytes, not text

  explicit ServiceRegistry(const RegistryLimits& limits = {}) : limits(limits) {}
  KJ_DISALLOW_COPY_AND_MOVE(ServiceRegistry);

  // Registers or replaces. False, and counted, when a bound is reached; replacing is always possible.
  bool tryRegister(kj::StringPtr client, Name name, ServiceSlots slots);

  // What this same client registered.
  kj::Maybe<ServiceSlots> lookup(kj::StringPtr client, Name name) const;

  // Whether anybody registered the name.
  bool isPresent(Name name) const;

  size_t size() const { return total; }
  uint64_t refusedCount() const { return refused; }

 private:
  using Scope = std::map<std::string, ServiceSlots>;

  RegistryLimits limits;
  std::map<std::string, Scope> clients;
  size_t total = 0;
  uint64_t refused = 0;
};

}  // namespace nexus
