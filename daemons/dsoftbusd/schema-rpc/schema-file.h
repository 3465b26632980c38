#pragma once
// From the configuration's [[dsoftbusd.offers]] to the catalog: built-in interfaces, and interfaces of compiled schema
// files (`capnp compile -o-`), which are data that is checked, never code. Used by dsoftbusd once, at the start, before
// the sandbox, and by nexusctl. Files are read by the caller.
#include <capnp/schema-loader.h>
#include <kj/function.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"
#include "idl/config.capnp.h"

namespace nexus {

// An interface of a compiled schema, with every type that its methods need.
class LoadedInterface {
 public:
  LoadedInterface() = default;
  KJ_DISALLOW_COPY_AND_MOVE(LoadedInterface);

  // Null, or what is wrong: one clause. interface: as for serviceFromSchema. Called once.
  kj::Maybe<kj::String> load(kj::ArrayPtr<const kj::byte> compiled, kj::StringPtr interface);

  // After a load that found nothing wrong; lives as long as this.
  capnp::InterfaceSchema schema() const { return KJ_ASSERT_NONNULL(loaded); }

 private:
  capnp::SchemaLoader loader;
  kj::Maybe<capnp::InterfaceSchema> loaded;
};

// The interfaces that need no file: "samgr" and "bundlemgr", each with the methods that may be offered. Null: none of
// that name. A String: what is wrong, one clause.
kj::Maybe<kj::OneOf<RpcService, kj::String>> builtInService(kj::StringPtr schema, kj::StringPtr name,
                                                            kj::StringPtr import);
kj::Maybe<capnp::InterfaceSchema> builtInSchema(kj::StringPtr schema);

// A service from the bytes of a compiled schema. interface: its name as in the schema ("Notes"); empty when the file
// has only one at its top level. A String: what is wrong, one clause.
kj::OneOf<RpcService, kj::String> serviceFromSchema(kj::StringPtr name, kj::StringPtr import,
                                                    kj::ArrayPtr<const kj::byte> compiled, kj::StringPtr interface);

// The bytes of a file of at most MAX_SCHEMA_BYTES, or what is wrong with it: one clause.
using ReadSchema = kj::FunctionParam<kj::OneOf<kj::Array<kj::byte>, kj::String>(kj::StringPtr path)>;

// A String: the sentence that says what is wrong with which entry.
kj::OneOf<RpcCatalog, kj::String> checkOffers(capnp::List<config::Dsoftbusd::Offer>::Reader offers,
                                              ReadSchema readSchema);

}  // namespace nexus
