#pragma once
// Whether a message is plain data, and whether a type can ever be anything else: the two questions behind "no
// capability crosses between nodes". The first is asked of each payload as it is on the wire, unknown fields too; the
// second of a schema, before a method is offered at all. Pure. Knows nothing of policy or streams.
#include <capnp/any.h>
#include <capnp/schema.h>

namespace nexus {

enum class PayloadFault {
  NONE,
  CAPABILITY,  // a capability pointer, whatever it points to
  TOO_LARGE,
  BROKEN,  // pointers out of bounds, nested too deeply, or the same bytes over and over
};

struct PayloadCheck {
  PayloadFault fault = PayloadFault::NONE;
  capnp::MessageSize size = {0, 0};  // of plain data, as a copy takes it; else nothing
};

// maxBytes: of the payload, as it would be copied. A walk over all of it, which counts for the traversal limit of its
// message.
PayloadCheck checkPayload(capnp::AnyPointer::Reader payload, size_t maxBytes);

// "holds a capability, ...": what is wrong, to follow the name of what was looked at.
kj::StringPtr payloadFaultText(PayloadFault fault);

// Null when no value of that struct can hold a capability; else the path to the first field that can: "image.source, an
// interface". Types of generic parameters that are not bound count as AnyPointer, which may be a capability.
kj::Maybe<kj::String> findCapability(capnp::StructSchema schema);

}  // namespace nexus
