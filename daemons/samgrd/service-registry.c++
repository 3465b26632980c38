#include "daemons/samgrd/service-registry.h"

namespace nexus {

namespace {

std::string key(kj::ArrayPtr<const char> text) {
  return std::string(text.begin(), text.size());
}

}  // namespace

bool ServiceRegistry::tryRegister(kj::StringPtr client, Name name, ServiceSlots slots) {
  auto scope = clients.find(key(client));
  if (scope != clients.end()) {
    auto existing = scope->second.find(key(name));
    if (existing != scope->second.end()) {
      existing->second = slots;
      return true;
    }
  }
  if (total >= limits.total || (scope != clients.end() && scope->second.size() >= limits.perClient)) {
    refused++;
    return false;
  }
  clients[key(client)].emplace(key(name), slots);
  total++;
  return true;
}

kj::Maybe<ServiceSlots> ServiceRegistry::lookup(kj::StringPtr client, Name name) const {
  auto scope = clients.find(key(client));
  if (scope == clients.end()) return nullptr;
  auto found = scope->second.find(key(name));
  if (found == scope->second.end()) return nullptr;
  return found->second;
}

bool ServiceRegistry::isPresent(Name name) const {
  auto wanted = key(name);
  for (auto& [client, scope] : clients) {
    if (scope.count(wanted) > 0) return true;
  }
  return false;
}

}  // namespace nexus
