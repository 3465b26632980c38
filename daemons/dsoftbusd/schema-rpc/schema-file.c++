#include "daemons/dsoftbusd/schema-rpc/schema-file.h"

#include <capnp/dynamic.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <string.h>

#include "idl/bundlemgr.capnp.h"
#include "idl/samgr.capnp.h"

namespace nexus {

namespace {

using Described = kj::OneOf<RpcService, kj::String>;

// Registering, slots and raw frames stay on the node; an image is fetched in pieces, as a frame of its own service.
constexpr kj::StringPtr SAMGR_METHODS[] = {"resolveStatus"_kj};
constexpr kj::StringPtr BUNDLEMGR_METHODS[] = {"list"_kj};

// Reads everything there is in the value, so that a pointer that is broken or of another kind throws here. The schema
// loader asks for names again while it reports a fault in them, without end.
void readWhole(capnp::DynamicValue::Reader value) {
  switch (value.getType()) {
    case capnp::DynamicValue::STRUCT: {
      auto reader = value.as<capnp::DynamicStruct>();
      for (auto field : reader.getSchema().getFields()) {
        if (reader.has(field)) readWhole(reader.get(field));
      }
      break;
    }
    case capnp::DynamicValue::LIST:
      for (auto item : value.as<capnp::DynamicList>()) readWhole(item);
      break;
    default:
      break;  // was read whole to become a value, or is of any type
  }
}

// The request of a compiled schema, with every pointer in its bounds and of its type; FAILED if one is not. What is
// read is bounded by the size of the file: bytes that are pointed at twice, and lists of millions of structs that have
// no bytes, are as much work as large ones.
void copyChecked(kj::ArrayPtr<const kj::byte> compiled, capnp::MallocMessageBuilder& copy) {
  auto words = kj::heapArray<capnp::word>(compiled.size() / sizeof(capnp::word));
  if (words.size() > 0) memcpy(words.begin(), compiled.begin(), words.asBytes().size());
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * words.size();
  capnp::FlatArrayMessageReader message(words, options);
  copy.setRoot(message.getRoot<capnp::schema::CodeGeneratorRequest>());
  readWhole(capnp::DynamicValue::Reader(copy.getRoot<capnp::schema::CodeGeneratorRequest>().asReader()));
}

kj::String noSchema(const kj::Exception& exception) {
  return kj::str("this is no compiled schema (write one with capnp compile -o- FILE.capnp): ",
                 exception.getDescription());
}

// "notes.capnp:Notes" is Notes; nested ones are "Outer.Inner".
kj::StringPtr shortName(capnp::schema::Node::Reader node) {
  kj::StringPtr full = node.getDisplayName();
  return full.slice(kj::min(full.findLast(':').map([](size_t at) { return at + 1; }).orDefault(0), full.size()));
}

// The id of the interface that is meant, or what is wrong: one clause.
kj::OneOf<uint64_t, kj::String> pick(capnp::schema::CodeGeneratorRequest::Reader request, kj::StringPtr interface) {
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
  return ids[0];
}

}  // namespace

kj::Maybe<capnp::InterfaceSchema> builtInSchema(kj::StringPtr schema) {
  if (schema == "samgr") return capnp::InterfaceSchema(capnp::Schema::from<idl::Samgr>());
  if (schema == "bundlemgr") return capnp::InterfaceSchema(capnp::Schema::from<idl::Bundlemgr>());
  return nullptr;
}

kj::Maybe<Described> builtInService(kj::StringPtr schema, kj::StringPtr name, kj::StringPtr import) {
  return builtInSchema(schema).map([&](capnp::InterfaceSchema interface) {
    auto methods = schema == "samgr" ? kj::arrayPtr(SAMGR_METHODS, 1) : kj::arrayPtr(BUNDLEMGR_METHODS, 1);
    return RpcService::describe(name, import, interface, methods);
  });
}

kj::Maybe<kj::String> LoadedInterface::load(kj::ArrayPtr<const kj::byte> compiled, kj::StringPtr interface) {
  kj::Maybe<kj::String> wrong;
  // Schemas that contradict themselves show as exceptions of the loader or of the types read from it.
  auto failure = kj::runCatchingExceptions([&] {
    capnp::MallocMessageBuilder copy;
    copyChecked(compiled, copy);
    auto request = copy.getRoot<capnp::schema::CodeGeneratorRequest>().asReader();
    for (auto node : request.getNodes()) loader.load(node);
    auto picked = pick(request, interface);
    KJ_IF_MAYBE (id, picked.tryGet<uint64_t>()) {
      loaded = loader.get(*id).asInterface();
    } else {
      wrong = kj::mv(picked.get<kj::String>());
    }
  });
  KJ_IF_MAYBE (exception, failure) return noSchema(*exception);
  return wrong;
}

Described serviceFromSchema(kj::StringPtr name, kj::StringPtr import, kj::ArrayPtr<const kj::byte> compiled,
                            kj::StringPtr interface) {
  LoadedInterface loaded;
  auto wrong = loaded.load(compiled, interface);
  KJ_IF_MAYBE (w, wrong) return kj::mv(*w);
  Described result = kj::str();
  auto failure = kj::runCatchingExceptions([&] { result = RpcService::describe(name, import, loaded.schema()); });
  KJ_IF_MAYBE (exception, failure) return noSchema(*exception);
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
    auto described = builtInService(schema, name, import);
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
