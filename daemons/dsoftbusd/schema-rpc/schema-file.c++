#include "daemons/dsoftbusd/schema-rpc/schema-file.h"

#include <capnp/schema-loader.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include "idl/bundlemgr.capnp.h"
#include "idl/samgr.capnp.h"

namespace nexus {

namespace {

using Described = kj::OneOf<RpcService, kj::String>;

// Registering, slots and raw frames stay on the node; an image is fetched in pieces, as a frame of its own service.
constexpr kj::StringPtr SAMGR_METHODS[] = {"resolveStatus"_kj};
constexpr kj::StringPtr BUNDLEMGR_METHODS[] = {"list"_kj};

kj::Maybe<Described> builtIn(kj::StringPtr schema, kj::StringPtr name, kj::StringPtr import) {
  if (schema == "samgr") {
    return RpcService::describe(name, import, capnp::Schema::from<idl::Samgr>(), kj::arrayPtr(SAMGR_METHODS, 1));
  }
  if (schema == "bundlemgr") {
    return RpcService::describe(name, import, capnp::Schema::from<idl::Bundlemgr>(),
                                kj::arrayPtr(BUNDLEMGR_METHODS, 1));
  }
  return nullptr;
}

// "notes.capnp:Notes" is Notes; nested ones are "Outer.Inner".
kj::StringPtr shortName(capnp::schema::Node::Reader node) {
  kj::StringPtr full = node.getDisplayName();
  return full.slice(kj::min(full.findLast(':').map([](size_t at) { return at + 1; }).orDefault(0), full.size()));
}

Described pick(const capnp::SchemaLoader& loader, capnp::schema::CodeGeneratorRequest::Reader request,
               kj::StringPtr name, kj::StringPtr import, kj::StringPtr interface) {
  kj::Vector<uint64_t> ids;
  kj::Vector<kj::StringPtr> names;
  for (auto file : request.getRequestedFiles()) {
    auto prefix = kj::str(file.getFilename(), ":");
    for (auto node : request.getNodes()) {
      kj::StringPtr full = node.getDisplayName();
      if (!node.isInterface() || !full.startsWith(prefix)) continue;
      bool wanted = interface.size() > 0 ? shortName(node) == interface : shortName(node).findFirst('.') == nullptr;
      if (!wanted) continue;
      ids.add(node.getId());
      names.add(shortName(node));
    }
  }
  if (ids.size() == 0 && interface.size() > 0) return kj::str("the schema has no interface \"", interface, "\"");
  if (ids.size() == 0) return kj::str("the schema has no interface");
  if (ids.size() > 1) return kj::str("say which interface; the schema has: ", kj::strArray(names, ", "));
  return RpcService::describe(name, import, loader.get(ids[0]).asInterface());
}

}  // namespace

Described serviceFromSchema(kj::StringPtr name, kj::StringPtr import, kj::ArrayPtr<const kj::byte> compiled,
                            kj::StringPtr interface) {
  Described result = kj::str();
  // Schemas that contradict themselves show as exceptions of the loader or of the types read from it.
  auto failure = kj::runCatchingExceptions([&] {
    kj::ArrayInputStream input(compiled);
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 4 * MAX_SCHEMA_BYTES / sizeof(capnp::word);
    capnp::InputStreamMessageReader message(input, options);
    auto request = message.getRoot<capnp::schema::CodeGeneratorRequest>();
    capnp::SchemaLoader loader;
    for (auto node : request.getNodes()) loader.load(node);
    result = pick(loader, request, name, import, interface);
  });
  KJ_IF_MAYBE (exception, failure) {
    return kj::str("this is no compiled schema (write one with capnp compile -o- FILE.capnp): ",
                   exception->getDescription());
  }
  return result;
}

kj::OneOf<RpcCatalog, kj::String> checkOffers(capnp::List<config::Dsoftbusd::Offer>::Reader offers,
                                              ReadSchema readSchema) {
  if (offers.size() > MAX_RPC_SERVICES) return kj::str("at most ", MAX_RPC_SERVICES, " offers");
  kj::Vector<RpcService> services;
  for (auto offer : offers) {
    kj::StringPtr name = offer.getName();
    if (!isRpcServiceName(name.asArray())) {
      return kj::str("the name of an offer has 1 to 40 characters of a-z, 0-9, '-', '.' and '_'; \"", name,
                     "\" is none");
    }
    for (auto& other : services) {
      if (other.name() == name) return kj::str("two offers have the name \"", name, "\"");
    }
    kj::StringPtr import = offer.getImport().size() > 0 ? kj::StringPtr(offer.getImport()) : name;
    kj::StringPtr schema = offer.getSchema().size() > 0 ? kj::StringPtr(offer.getSchema()) : name;
    auto described = builtIn(schema, name, import);
    if (described == nullptr) {
      if (schema.findFirst('/') == nullptr) {
        return kj::str("the offer \"", name, "\" needs a schema: samgr, bundlemgr, or the path of a compiled one");
      }
      auto bytes = readSchema(schema);
      KJ_IF_MAYBE (wrong, bytes.tryGet<kj::String>())
        return kj::str("the offer \"", name, "\": ", schema, ": ", *wrong);
      described = serviceFromSchema(name, import, bytes.get<kj::Array<kj::byte>>(), offer.getInterface());
    }
    auto& result = KJ_ASSERT_NONNULL(described);
    KJ_IF_MAYBE (wrong, result.tryGet<kj::String>()) return kj::str("the offer \"", name, "\": ", schema, ": ", *wrong);
    services.add(kj::mv(result.get<RpcService>()));
  }
  return RpcCatalog(services.releaseAsArray());
}

}  // namespace nexus
