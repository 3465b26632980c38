#include "daemons/dsoftbusd/schema-rpc/data-only.h"

#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {

namespace {

constexpr size_t MAX_TYPES = 4096;  // struct types looked at for one method
constexpr size_t MAX_DEPTH = 128;   // of types within types: generic ones can go on without end
constexpr size_t MAX_PATH = 256;    // bytes of a path of fields, about

// Walks struct types, each once.
class TypeWalk {
 public:
  kj::Maybe<kj::String> find(capnp::StructSchema schema) {
    for (auto& known : seen) {
      if (known == schema) return nullptr;
    }
    if (seen.size() >= MAX_TYPES) return kj::str(", more than ", MAX_TYPES, " types");
    // What the schema loader puts in the place of a type that its file does not have.
    if (schema.getProto().getDisplayName().startsWith("(unknown type")) return kj::str(", a type that is not there");
    if (depth >= MAX_DEPTH) return kj::str(", types within types more than ", MAX_DEPTH, " deep");
    seen.add(schema);
    depth++;
    KJ_DEFER(depth--);
    for (auto field : schema.getFields()) {
      KJ_IF_MAYBE (inner, find(field.getType())) {
        if (inner->size() > MAX_PATH) return kj::mv(*inner);  // its end tells more than its beginning
        auto name = field.getProto().getName();
        bool deeper = inner->size() > 0 && (*inner)[0] != ',';
        return kj::str(name, deeper ? "." : "", *inner);
      }
    }
    return nullptr;
  }

 private:
  kj::Vector<capnp::StructSchema> seen;
  size_t depth = 0;

  kj::Maybe<kj::String> find(capnp::Type type) {
    while (type.isList()) type = type.asList().getElementType();
    if (type.isInterface()) return kj::str(", an interface");
    if (type.isAnyPointer()) return kj::str(", an AnyPointer");
    if (type.isStruct()) return find(type.asStruct());
    return nullptr;
  }
};

}  // namespace

PayloadCheck checkPayload(capnp::AnyPointer::Reader payload, size_t maxBytes) {
  PayloadCheck check;
  // The walk over a message that its sender made up ends in an exception where that is broken.
  auto broken = kj::runCatchingExceptions([&] {
    auto size = payload.targetSize();
    if (size.capCount > 0) {
      check.fault = PayloadFault::CAPABILITY;
    } else if (size.wordCount > maxBytes / sizeof(capnp::word)) {
      check.fault = PayloadFault::TOO_LARGE;
    } else {
      check.size = size;
    }
  });
  if (broken != nullptr) check.fault = PayloadFault::BROKEN;
  return check;
}

kj::StringPtr payloadFaultText(PayloadFault fault) {
  switch (fault) {
    case PayloadFault::NONE:
      return "is plain data"_kj;
    case PayloadFault::CAPABILITY:
      return "holds a capability: only data crosses between nodes"_kj;
    case PayloadFault::TOO_LARGE:
      return "is too large"_kj;
    case PayloadFault::BROKEN:
      return "is not a well-formed message"_kj;
  }
  KJ_UNREACHABLE;
}

kj::Maybe<kj::String> findCapability(capnp::StructSchema schema) {
  return TypeWalk().find(schema);
}

}  // namespace nexus
