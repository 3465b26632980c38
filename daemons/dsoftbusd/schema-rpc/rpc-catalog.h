#pragma once
// The services that this node offers to others as Cap'n Proto interfaces, by name, with their methods: the vocabulary
// of policy rules about them. Read from compiled schemas at the start, so that a new service needs no code here. Pure
// data after that. Knows nothing of who may call (the policy) or where a service runs (its import).
#include <capnp/schema.h>
#include <kj/array.h>
#include <kj/map.h>
#include <kj/one-of.h>
#include <kj/string.h>

namespace nexus {

// A rule about calls of such a service: the service is this and its name, the operations are names of methods.
constexpr kj::StringPtr RPC_SERVICE_PREFIX = "rpc:"_kj;

// What the audit record of an opened stream says instead of a method; no method can have this name.
constexpr kj::StringPtr RPC_OPENING = "(open)"_kj;

constexpr size_t MAX_RPC_SERVICES = 16;
constexpr size_t MAX_RPC_METHODS = 256;               // of one service, inherited ones included
constexpr size_t MAX_SCHEMA_BYTES = 4 * 1024 * 1024;  // of a file with a compiled schema

// 1 to 40 characters: a to z, 0 to 9, '-', '.', '_'.
bool isRpcServiceName(kj::ArrayPtr<const char> name);

struct RpcMethod {
  kj::String name;
  uint64_t interfaceId;  // of the interface that declares it
  uint16_t ordinal;
  kj::Maybe<kj::String> withheld;  // why no rule may allow it; null: one may
};

class RpcService {
 public:
  // onlyMethods: every other one is withheld; empty: none is for that. A String: what is wrong, one clause.
  static kj::OneOf<RpcService, kj::String> describe(kj::StringPtr name, kj::StringPtr import,
                                                    capnp::InterfaceSchema schema,
                                                    kj::ArrayPtr<const kj::StringPtr> onlyMethods = nullptr);

  kj::StringPtr name() const { return ownName; }
  kj::StringPtr policyName() const { return ownPolicyName; }  // "rpc:" and the name
  kj::StringPtr import() const { return importName; }         // of the daemon: where its calls go
  kj::ArrayPtr<const RpcMethod> methods() const { return allMethods; }

  kj::Maybe<const RpcMethod&> find(uint64_t interfaceId, uint16_t ordinal) const;
  kj::Maybe<const RpcMethod&> find(kj::StringPtr method) const;

  // The names that a rule may use, separated by ", ".
  kj::String offered() const;

  RpcService clone() const;

 private:
  kj::String ownName, ownPolicyName, importName;
  kj::Array<RpcMethod> allMethods;
};

class RpcCatalog {
 public:
  RpcCatalog() = default;
  explicit RpcCatalog(kj::Array<RpcService> services) : all(kj::mv(services)) {}
  RpcCatalog clone() const;

  kj::ArrayPtr<const RpcService> services() const { return all; }
  kj::Maybe<const RpcService&> find(kj::StringPtr name) const;

  // `policyName` as in a rule: "rpc:NAME".
  kj::Maybe<const RpcService&> findPolicyName(kj::StringPtr policyName) const;

  // "rpc:samgr, rpc:notes"
  kj::String names() const;

  // Null when a rule may name this service and these operations, else what is wrong with it: one clause.
  kj::Maybe<kj::String> checkRule(kj::StringPtr policyName, kj::ArrayPtr<const kj::StringPtr> operations) const;

 private:
  kj::Array<RpcService> all;
};

}  // namespace nexus
