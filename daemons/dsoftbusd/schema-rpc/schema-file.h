#pragma once
// From the configuration's [[dsoftbusd.offers]] to the catalog: built-in interfaces, and interfaces of compiled schema
// files (`capnp compile -o-`), which are data that is checked, never code. Used once, at the start, before the sandbox.
// Files are read by the caller.
#include <kj/function.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"
#include "idl/config.capnp.h"

namespace nexus {

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
