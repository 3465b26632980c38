#include "daemons/dsoftbusd/schema-rpc/data-only.h"

#include <capnp/message.h>
#include <capnp/schema-loader.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-test.capnp.h"

namespace nexus {
namespace {

constexpr size_t PLENTY = 1024 * 1024;

kj::String capabilityIn(kj::StringPtr method, bool results = false) {
  auto found = capnp::Schema::from<idl::Gauge>().getMethodByName(method);
  return findCapability(results ? found.getResultType() : found.getParamType()).orDefault(kj::str("none"));
}

// The content of a call, with a table that takes capabilities.
struct Value {
  capnp::MallocMessageBuilder message;
  capnp::BuilderCapabilityTable table;
  capnp::AnyPointer::Builder root = table.imbue(message.getRoot<capnp::AnyPointer>());

  PayloadFault fault(size_t maxBytes = PLENTY) { return checkPayload(root.asReader(), maxBytes).fault; }
};

capnp::Capability::Client somebody() {
  return KJ_EXCEPTION(FAILED, "nobody");
}

TEST_CASE("an empty payload and a struct of data are plain data") {
  Value value;
  CHECK(value.fault(0) == PayloadFault::NONE);
  auto tree = value.root.initAs<idl::Tree>();
  tree.initChildren(3)[2].initNames().setValue("x");
  CHECK(value.fault() == PayloadFault::NONE);
}

TEST_CASE("a capability is found as the root, in a field, in a list of a list, and where no schema has a field") {
  {
    Value value;
    value.root.setAs<capnp::Capability>(somebody());
    CHECK(value.fault() == PayloadFault::CAPABILITY);
  }
  {
    Value value;
    value.root.initAsAnyStruct(0, 9).getPointerSection()[8].setAs<capnp::Capability>(somebody());
    CHECK(value.fault() == PayloadFault::CAPABILITY);
  }
  {
    Value value;
    auto inner = value.root.initAsAnyStruct(0, 1).getPointerSection()[0].initAsListOfAnyStruct(0, 1, 4);
    inner[3].getPointerSection()[0].setAs<capnp::Capability>(somebody());
    CHECK(value.fault() == PayloadFault::CAPABILITY);
  }
}

TEST_CASE("a capability is told before the size is") {
  Value value;
  auto root = value.root.initAsAnyStruct(100, 1);
  root.getPointerSection()[0].setAs<capnp::Capability>(somebody());
  CHECK(value.fault(8) == PayloadFault::CAPABILITY);
}

TEST_CASE("the limit of the size is what a copy takes, to the word") {
  Value value;
  value.root.initAs<capnp::Data>(100);  // 13 words
  CHECK(value.fault(13 * 8) == PayloadFault::NONE);
  CHECK(value.fault(13 * 8 - 1) == PayloadFault::TOO_LARGE);
}

TEST_CASE("pointers out of bounds, a circle, and pointers of no known kind are broken") {
  auto faultOf = [](kj::ArrayPtr<const uint64_t> words) {
    kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(words.begin()), words.size());
    kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments(&segment, 1);
    capnp::SegmentArrayMessageReader message(segments);
    return checkPayload(message.getRoot<capnp::AnyPointer>(), PLENTY).fault;
  };
  // A struct of one data word: there, and beyond the end.
  uint64_t honest[] = {uint64_t(1) << 32, 0};
  CHECK(faultOf(honest) == PayloadFault::NONE);
  uint64_t beyond[] = {uint64_t(1) << 32 | 100 << 2, 0};
  CHECK(faultOf(beyond) == PayloadFault::BROKEN);
  // A struct whose only pointer points back to it: without end.
  uint64_t circle[] = {uint64_t(1) << 48, uint64_t(1) << 48 | uint64_t(0xfffffffc)};
  CHECK(faultOf(circle) == PayloadFault::BROKEN);
  // A capability pointer with the reserved bits set is none that anybody knows.
  uint64_t strange[] = {7};
  CHECK(faultOf(strange) == PayloadFault::BROKEN);
}

TEST_CASE("each fault has its words") {
  CHECK(payloadFaultText(PayloadFault::NONE) == "is plain data");
  CHECK(payloadFaultText(PayloadFault::CAPABILITY) == "holds a capability: only data crosses between nodes");
  CHECK(payloadFaultText(PayloadFault::TOO_LARGE) == "is too large");
  CHECK(payloadFaultText(PayloadFault::BROKEN) == "is not a well-formed message");
}

TEST_CASE("types that are data all the way down hold none, also when they hold themselves") {
  CHECK(capabilityIn("echo") == "none");
  CHECK(capabilityIn("sum") == "none");
  CHECK(capabilityIn("give") == "none");
}

TEST_CASE("an interface, an AnyPointer, a bound parameter and a list of lists of them are found, with the path") {
  CHECK(capabilityIn("take") == "gauge, an interface");
  CHECK(capabilityIn("give", true) == "gauge, an interface");
  CHECK(capabilityIn("takeAny") == "any, an AnyPointer");
  CHECK(capabilityIn("takeBox") == "box.value, an interface");
  CHECK(capabilityIn("takeDeep") == "list.value, an interface");
  CHECK(findCapability(capnp::Schema::from<idl::Box<>>()).orDefault(nullptr) == "value, an AnyPointer");
}

// Struct number `id`, with fields of the types `first` to `first + count`.
void loadStruct(capnp::SchemaLoader& loader, kj::uint id, kj::uint first, kj::uint count) {
  constexpr uint64_t IDS = 0x8000000000000000;
  capnp::MallocMessageBuilder message;
  auto node = message.initRoot<capnp::schema::Node>();
  node.setId(IDS + id);
  node.setDisplayName(kj::str("test:S", id));
  node.setDisplayNamePrefixLength(5);
  auto body = node.initStruct();
  body.setPreferredListEncoding(capnp::schema::ElementSize::INLINE_COMPOSITE);
  body.setPointerCount(count);
  auto fields = body.initFields(count);
  for (auto i : kj::indices(fields)) {
    fields[i].setName(count == 1 ? kj::str("next") : kj::str("f", i));
    fields[i].setCodeOrder(i);
    fields[i].initOrdinal().setExplicit(i);
    auto slot = fields[i].initSlot();
    slot.setOffset(i);
    slot.initType().initStruct().setTypeId(IDS + first + i);
    slot.initDefaultValue().initStruct();
  }
  loader.load(node.asReader());
}

kj::Maybe<kj::String> capabilityInStruct(capnp::SchemaLoader& loader, kj::uint id) {
  return findCapability(loader.get(0x8000000000000000 + id).asStruct());
}

// A struct whose only field is of the next one, so many times; the last has none.
kj::Maybe<kj::String> capabilityInChain(kj::uint length) {
  capnp::SchemaLoader loader;
  for (kj::uint i = 0; i < length; i++) loadStruct(loader, i, i - 1, i == 0 ? 0 : 1);
  return capabilityInStruct(loader, length - 1);
}

// A struct with so many fields, each of a type of its own that has none.
kj::Maybe<kj::String> capabilityInWide(kj::uint width) {
  capnp::SchemaLoader loader;
  for (kj::uint i = 0; i < width; i++) loadStruct(loader, i, 0, 0);
  loadStruct(loader, width, 0, width);
  return capabilityInStruct(loader, width);
}

TEST_CASE("types nested more deeply than a message may be are refused with a short sentence, not followed to the end") {
  CHECK(capabilityInChain(128) == nullptr);
  CHECK(capabilityInChain(129) != nullptr);
  auto found = capabilityInChain(3000).orDefault(nullptr);
  INFO(found.cStr());
  CHECK(found.endsWith(", types within types more than 128 deep"));
  CHECK(found.size() < 1024);
}

TEST_CASE("types beside each other are not deep, and at most 4096 are looked at") {
  CHECK(capabilityInWide(4095) == nullptr);  // and the one that has them
  CHECK(capabilityInWide(4096).orDefault(nullptr) == "f4095, more than 4096 types");
}

}  // namespace
}  // namespace nexus
