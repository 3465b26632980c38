#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"

#include "daemons/dsoftbusd/schema-rpc/data-only.h"

namespace nexus {

namespace {

constexpr size_t MAX_NAME = 40;  // with prefix and number it is the name of a stream, which has at most 64
constexpr size_t MAX_INTERFACES = 64;

// Why the method cannot be called with data alone, or null.
kj::Maybe<kj::String> notData(capnp::InterfaceSchema::Method method) {
  KJ_IF_MAYBE (path, findCapability(method.getParamType())) {
    return kj::str("its parameters can hold a capability (", *path, ")");
  }
  KJ_IF_MAYBE (path, findCapability(method.getResultType())) {
    return kj::str("its results can hold a capability (", *path, ")");
  }
  return nullptr;
}

// An interface and everything it extends, each once. False: too many.
bool addInterfaces(capnp::InterfaceSchema schema, kj::Vector<capnp::InterfaceSchema>& out) {
  for (auto& known : out) {
    if (known.getProto().getId() == schema.getProto().getId()) return true;
  }
  if (out.size() >= MAX_INTERFACES) return false;
  out.add(schema);
  for (auto super : schema.getSuperclasses()) {
    if (!addInterfaces(super, out)) return false;
  }
  return true;
}

bool contains(kj::ArrayPtr<const kj::StringPtr> names, kj::StringPtr name) {
  for (auto& n : names) {
    if (n == name) return true;
  }
  return false;
}

}  // namespace

bool isRpcServiceName(kj::ArrayPtr<const char> name) {
  if (name.size() == 0 || name.size() > MAX_NAME) return false;
  for (char c : name) {
    bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!fine) return false;
  }
  return true;
}

kj::OneOf<RpcService, kj::String> RpcService::describe(kj::StringPtr name, kj::StringPtr import,
                                                       capnp::InterfaceSchema schema,
                                                       kj::ArrayPtr<const kj::StringPtr> onlyMethods) {
  kj::Vector<capnp::InterfaceSchema> interfaces;
  if (!addInterfaces(schema, interfaces)) return kj::str("the interface extends more than ", MAX_INTERFACES, " others");
  kj::Vector<RpcMethod> methods;
  for (auto& interface : interfaces) {
    for (auto method : interface.getMethods()) {
      kj::StringPtr methodName = method.getProto().getName();
      for (auto& other : methods) {
        if (other.name == methodName) {
          return kj::str("two methods are called ", methodName, ": a rule could not tell which one it allows");
        }
      }
      if (methods.size() >= MAX_RPC_METHODS)
        return kj::str("the interface has more than ", MAX_RPC_METHODS, " methods");
      auto withheld = notData(method);
      if (onlyMethods.size() > 0 && !contains(onlyMethods, methodName)) {
        withheld = kj::str("the service keeps it to its own node");
      }
      methods.add(RpcMethod{kj::str(methodName), interface.getProto().getId(),
                            static_cast<uint16_t>(method.getOrdinal()), kj::mv(withheld)});
    }
  }
  RpcService service;
  service.ownName = kj::str(name);
  service.ownPolicyName = kj::str(RPC_SERVICE_PREFIX, name);
  service.importName = kj::str(import);
  service.allMethods = methods.releaseAsArray();
  return kj::mv(service);
}

kj::Maybe<const RpcMethod&> RpcService::find(uint64_t interfaceId, uint16_t ordinal) const {
  for (auto& method : allMethods) {
    if (method.interfaceId == interfaceId && method.ordinal == ordinal) return method;
  }
  return nullptr;
}

kj::Maybe<const RpcMethod&> RpcService::find(kj::StringPtr method) const {
  for (auto& m : allMethods) {
    if (m.name == method) return m;
  }
  return nullptr;
}

kj::String RpcService::offered() const {
  kj::Vector<kj::StringPtr> names;
  for (auto& method : allMethods) {
    if (method.withheld == nullptr) names.add(method.name);
  }
  return names.empty() ? kj::str("nothing") : kj::strArray(names, ", ");
}

RpcService RpcService::clone() const {
  RpcService copy;
  copy.ownName = kj::str(ownName);
  copy.ownPolicyName = kj::str(ownPolicyName);
  copy.importName = kj::str(importName);
  copy.allMethods = KJ_MAP(m, allMethods) {
    return RpcMethod{kj::str(m.name), m.interfaceId, m.ordinal,
                     m.withheld.map([](const kj::String& why) { return kj::str(why); })};
  };
  return copy;
}

RpcCatalog RpcCatalog::clone() const {
  return RpcCatalog(KJ_MAP(s, all) { return s.clone(); });
}

kj::Maybe<const RpcService&> RpcCatalog::find(kj::StringPtr name) const {
  for (auto& service : all) {
    if (service.name() == name) return service;
  }
  return nullptr;
}

kj::Maybe<const RpcService&> RpcCatalog::findPolicyName(kj::StringPtr policyName) const {
  if (!policyName.startsWith(RPC_SERVICE_PREFIX)) return nullptr;
  return find(policyName.slice(RPC_SERVICE_PREFIX.size()));
}

kj::String RpcCatalog::names() const {
  return kj::strArray(KJ_MAP(s, all) { return s.policyName(); }, ", ");
}

kj::Maybe<kj::String> RpcCatalog::checkRule(kj::StringPtr policyName,
                                            kj::ArrayPtr<const kj::StringPtr> operations) const {
  KJ_IF_MAYBE (service, findPolicyName(policyName)) {
    if (operations.size() == 0) return kj::str("names no method of ", policyName);
    for (auto& operation : operations) {
      KJ_IF_MAYBE (method, service->find(operation)) {
        KJ_IF_MAYBE (why, method->withheld) {
          return kj::str("names the method \"", operation, "\" of ", policyName,
                         ", which cannot be offered to other nodes: ", *why, "; it offers: ", service->offered());
        }
      } else {
        return kj::str("names the method \"", operation, "\", which ", policyName,
                       " does not have; it offers: ", service->offered());
      }
    }
    return nullptr;
  }
  if (all.size() == 0) {
    return kj::str("names the service \"", policyName, "\", but no [[dsoftbusd.offers]] entry offers any");
  }
  return kj::str("names the service \"", policyName,
                 "\", which no [[dsoftbusd.offers]] entry offers; there are: ", names());
}

}  // namespace nexus
