#include "daemons/dsoftbusd/schema-rpc/schema-file.h"

#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <kj/filesystem.h>
#include <stdlib.h>

#include "daemons/dsoftbusd/schema-rpc/read-schema.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

using Described = kj::OneOf<RpcService, kj::String>;
using Read = kj::OneOf<kj::Array<kj::byte>, kj::String>;
using Node = capnp::schema::Node;

constexpr auto FOLDER = "daemons/dsoftbusd/schema-rpc/"_kj;

kj::Array<kj::byte> compiled(kj::StringPtr name) {
  auto read = readSchemaFile(kj::str(FOLDER, name));
  KJ_IF_MAYBE (wrong, read.tryGet<kj::String>()) KJ_FAIL_REQUIRE(name, *wrong);
  return kj::mv(read.get<kj::Array<kj::byte>>());
}

kj::String wrongOf(Described described) {
  KJ_IF_MAYBE (wrong, described.tryGet<kj::String>()) return kj::mv(*wrong);
  return kj::str("fine: ", described.get<RpcService>().offered());
}
kj::String wrongWith(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr interface = nullptr) {
  return wrongOf(serviceFromSchema("x", "x", bytes, interface));
}

// The compiled schema after a change.
template <typename Change>
kj::Array<kj::byte> changed(kj::StringPtr name, Change&& change) {
  auto bytes = compiled(name);
  kj::ArrayInputStream input(bytes);
  capnp::InputStreamMessageReader reader(input);
  capnp::MallocMessageBuilder message;
  message.setRoot(reader.getRoot<capnp::schema::CodeGeneratorRequest>());
  change(message.getRoot<capnp::schema::CodeGeneratorRequest>());
  auto words = capnp::messageToFlatArray(message);
  return kj::heapArray(words.asBytes());
}
template <typename Change>
kj::Array<kj::byte> changedNode(kj::StringPtr schema, kj::StringPtr displayName, Change&& change) {
  return changed(schema, [&](capnp::schema::CodeGeneratorRequest::Builder request) {
    for (auto node : request.getNodes()) {
      if (node.asReader().getDisplayName().endsWith(displayName)) change(node);
    }
  });
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

TEST_CASE("a compiled schema becomes a service: of its only interface, or of the one that is named, nested ones too") {
  CHECK(wrongWith(compiled("example/notes.schema")) == "fine: put, get, list");
  CHECK(wrongWith(compiled("example/notes.schema"), "Notes") == "fine: put, get, list");
  CHECK(wrongWith(compiled("example/notes.schema"), "Notes.Listener") == "fine: onPut");
  CHECK(wrongWith(compiled("schema-test.schema"), "First") == "fine: a");
  CHECK(wrongWith(compiled("schema-test.schema"), "First.Inner") == "fine: b");
  CHECK(wrongWith(compiled("schema-test.schema"), "Second") == "fine: c, a");
}

TEST_CASE("what cannot be chosen, and a method whose name is there twice, are told") {
  CHECK(wrongWith(compiled("schema-test.schema")) == "say which interface; the schema has: First, Second, Twice");
  // Those of other files do not count.
  auto two =
      changedNode("schema-test.schema", ":Twice", [](Node::Builder node) { node.setDisplayName("x.capnp:Twice"); });
  CHECK(wrongWith(two) == "say which interface; the schema has: First, Second");
  CHECK(wrongWith(compiled("schema-test.schema"), "Third") == "the schema has no interface \"Third\"");
  CHECK(wrongWith(compiled("schema-test.schema"), "Inner") == "the schema has no interface \"Inner\"");
  CHECK(wrongWith(compiled("schema-test.schema"), "RingA") == "the schema has no interface \"RingA\"");
  CHECK(wrongWith(compiled("schema-test.schema"), "Twice") ==
        "two methods are called a: a rule could not tell which one it allows");
  auto none = changed("example/notes.schema", [](auto request) { request.initNodes(0); });
  CHECK(wrongWith(none) == "the schema has no interface");
}

TEST_CASE(
    "types in a circle are looked at once, and generics that grow without end are withheld, with a short sentence") {
  auto described = serviceFromSchema("x", "x", compiled("schema-test.schema"), "Second");
  auto& service = described.get<RpcService>();
  CHECK(KJ_ASSERT_NONNULL(service.find("c")).withheld == nullptr);
  auto& why = KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(service.find("growing")).withheld);
  INFO(why.cStr());
  CHECK(has(why, "types within types more than 128 deep"));
  CHECK(why.size() < 512);
}

TEST_CASE("an empty file, text, and a file that ends early are no compiled schema") {
  auto says = "this is no compiled schema (write one with capnp compile -o- FILE.capnp): "_kj;
  CHECK(wrongWith(nullptr).startsWith(says));
  CHECK(wrongWith("interface Notes { put @0 () -> (); }"_kj.asBytes()).startsWith(says));
  auto whole = compiled("example/notes.schema");
  for (size_t size = 0; size < whole.size(); size += 8) {
    CAPTURE(size);
    CHECK(wrongWith(whole.slice(0, size)).startsWith(says));
  }
  // The table of a message of 2^32 - 1 segments, and of one of 16 GiB.
  const kj::byte many[] = {0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  CHECK(wrongWith(kj::arrayPtr(many, 8)).startsWith(says));
  const kj::byte huge[] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f};
  CHECK(wrongWith(kj::arrayPtr(huge, 8)).startsWith(says));
}

// A request whose list of nodes is `count` pointers to the same bytes: a copy of it is that many times as large.
kj::Array<kj::byte> repeated(uint32_t count, uint32_t bytes) {
  kj::Vector<uint64_t> words;
  words.add(uint64_t(2 + count + bytes / 8) << 32);          // one segment of that many words
  words.add(uint64_t(1) << 48);                              // a struct of one pointer
  words.add(1 | uint64_t(count) << 35 | uint64_t(6) << 32);  // to a list of pointers
  for (uint32_t i = 0; i < count; i++) {
    words.add(1 | uint64_t(count - 1 - i) << 2 | uint64_t(bytes) << 35 | uint64_t(2) << 32);  // each to those bytes
  }
  for (uint32_t i = 0; i < bytes / 8; i++) words.add(0);
  return kj::heapArray(words.asPtr().asBytes());
}

TEST_CASE("a file that would be copied to more than four times its size is not") {
  for (uint32_t piece : {1 << 10, 512 << 10}) {
    CHECK(has(wrongWith(repeated(5, piece)), "traversal limit"));
    CHECK(!has(wrongWith(repeated(4, piece)), "traversal limit"));
  }
}

TEST_CASE("a file of a few words that claims to hold millions of nodes is refused, not read for seconds") {
  auto says = "this is no compiled schema"_kj;
  // The root with one pointer, to a list of structs without a byte.
  auto claims = [](uint64_t nodes) {
    const uint64_t words[] = {uint64_t(3) << 32, uint64_t(1) << 48, 1 | uint64_t(7) << 32, nodes << 2};
    return kj::heapArray(kj::arrayPtr(words, 4).asBytes());
  };
  CHECK(wrongWith(claims(2)) == "the schema has no interface");
  CHECK(wrongWith(claims(100)).startsWith(says));
  CHECK(wrongWith(claims(1'000'000)).startsWith(says));
}

TEST_CASE("schemas that contradict themselves are refused or served, never followed") {
  auto says = "this is no compiled schema"_kj;
  // A type that is not there.
  auto missing = changedNode("example/notes.schema", "Notes", [](Node::Builder node) {
    node.getInterface().getMethods()[0].setParamStructType(0x1234567890abcdef);
  });
  CHECK(wrongWith(missing) == "fine: get, list");  // nobody knows what it can hold
  // A method whose parameters are the interface.
  auto itself = changedNode("example/notes.schema", ":Notes", [](Node::Builder node) {
    node.getInterface().getMethods()[0].setParamStructType(node.getId());
  });
  CHECK(has(wrongWith(itself), says));
  // An interface that extends itself.
  auto own = changedNode("example/notes.schema", ":Notes",
                         [](Node::Builder node) { node.getInterface().initSuperclasses(1)[0].setId(node.getId()); });
  CHECK(wrongWith(own) == "fine: put, get, list");
  // A field at the end of the world.
  auto far = changedNode("example/notes.schema", "put$Params",
                         [](Node::Builder node) { node.getStruct().getFields()[0].getSlot().setOffset(0x7fffffff); });
  CHECK(has(wrongWith(far), says));
  // A node without a name.
  auto nameless = changedNode("example/notes.schema", ":Notes", [](Node::Builder node) { node.setDisplayName(""); });
  CHECK(wrongWith(nameless).startsWith("th"));
}

TEST_CASE("more methods, or more inherited interfaces, than a service may have are refused") {
  auto methods = [](kj::uint count) {
    return changedNode("example/notes.schema", ":Notes", [&](Node::Builder node) {
      auto old = node.getInterface().getMethods()[0].asReader();
      capnp::MallocMessageBuilder copy;
      copy.setRoot(old);
      auto all = node.getInterface().initMethods(count);
      for (auto i : kj::indices(all)) {
        all.setWithCaveats(i, copy.getRoot<capnp::schema::Method>().asReader());
        all[i].setName(kj::str("m", i));
        all[i].setCodeOrder(i);
      }
    });
  };
  CHECK(wrongWith(methods(256)).startsWith("fine: m0, m1"));
  CHECK(wrongWith(methods(257)) == "the interface has more than 256 methods");

  auto supers = [](kj::uint count) {
    return changed("example/notes.schema", [&](capnp::schema::CodeGeneratorRequest::Builder request) {
      capnp::MallocMessageBuilder copy;
      copy.setRoot(request.getNodes().asReader());
      auto old = copy.getRoot<capnp::List<Node>>().asReader();
      auto nodes = request.initNodes(old.size() + count);
      for (auto i : kj::indices(old)) {
        nodes.setWithCaveats(i, old[i]);
        if (!old[i].getDisplayName().endsWith(":Notes")) continue;
        auto list = nodes[i].getInterface().initSuperclasses(count);
        for (kj::uint s = 0; s < count; s++) list[s].setId(0x9000000000000000 + s);
      }
      for (kj::uint s = 0; s < count; s++) {
        auto node = nodes[old.size() + s];
        node.setId(0x9000000000000000 + s);
        node.setDisplayName(kj::str("other:S", s));
        node.setDisplayNamePrefixLength(6);
        node.initInterface();
      }
    });
  };
  CHECK(wrongWith(supers(63)) == "fine: put, get, list");
  CHECK(wrongWith(supers(64)) == "the interface extends more than 64 others");
}

TEST_CASE("a compiled schema with any of its bytes changed is refused or served, and nothing else happens") {
  auto whole = compiled("example/notes.schema");
  constexpr uint64_t SEED = 20261;
  FixedEntropy entropy(SEED);
  INFO("seed ", SEED);
  kj::uint refused = 0;
  for (int round = 0; round < 3000; round++) {
    auto bytes = kj::heapArray(whole.asPtr());
    for (uint64_t changes = 1 + entropy.next() % 8; changes > 0; changes--) {
      bytes[entropy.next() % bytes.size()] = entropy.next();
    }
    if (!wrongWith(bytes).startsWith("fine")) refused++;
  }
  CHECK(refused > 0);
  CHECK(refused < 3000);
}

// ---- the entries of the configuration

struct Offers {
  capnp::MallocMessageBuilder message;
  capnp::List<config::Dsoftbusd::Offer>::Builder list;
  explicit Offers(kj::uint count = 1) : list(message.initRoot<config::Dsoftbusd>().initOffers(count)) {}

  kj::String check() {
    auto checked = checkOffers(list.asReader(), readSchemaFile);
    KJ_IF_MAYBE (wrong, checked.tryGet<kj::String>()) return kj::mv(*wrong);
    return kj::str("fine: ", checked.get<RpcCatalog>().names());
  }
};

kj::String offer(kj::StringPtr name, kj::StringPtr schema = nullptr, kj::StringPtr interface = nullptr) {
  Offers offers;
  offers.list[0].setName(name);
  offers.list[0].setSchema(schema);
  offers.list[0].setInterface(interface);
  return offers.check();
}

TEST_CASE("built-in services need only their name, and offer what may cross") {
  CHECK(offer("samgr") == "fine: rpc:samgr");
  CHECK(offer("bundlemgr") == "fine: rpc:bundlemgr");
  CHECK(offer("other", "samgr") == "fine: rpc:other");
  Offers offers(2);
  offers.list[0].setName("samgr");
  offers.list[1].setName("b");
  offers.list[1].setSchema("bundlemgr");
  offers.list[1].setImport("bundles");
  auto checked = checkOffers(offers.list.asReader(), readSchemaFile);
  auto& catalog = checked.get<RpcCatalog>();
  CHECK(KJ_ASSERT_NONNULL(catalog.find("samgr")).offered() == "resolveStatus");
  CHECK(KJ_ASSERT_NONNULL(catalog.find("samgr")).import() == "samgr");
  CHECK(KJ_ASSERT_NONNULL(catalog.find("b")).offered() == "list");
  CHECK(KJ_ASSERT_NONNULL(catalog.find("b")).import() == "bundles");
}

TEST_CASE("each wrong offer has its sentence") {
  auto notes = kj::str(FOLDER, "example/notes.schema");
  CHECK(offer("notes", notes) == "fine: rpc:notes");
  CHECK(offer("Notes", notes) ==
        "the name of an offer has 1 to 40 characters of a-z, 0-9, '-', '.' and '_'; \"Notes\" is none");
  CHECK(offer("", notes).startsWith("the name of an offer has 1 to 40 characters"));
  CHECK(offer("notes") == "the offer \"notes\" needs a schema: samgr, bundlemgr, or the path of a compiled one");
  CHECK(offer("notes", "nowhere/x.schema") == "the offer \"notes\": nowhere/x.schema: there is no such file");
  CHECK(offer("notes", "daemons/dsoftbusd/") == "the offer \"notes\": daemons/dsoftbusd/: the file cannot be read");
  CHECK(offer("notes", notes, "Other") ==
        kj::str("the offer \"notes\": ", notes, ": the schema has no interface \"Other\""));
  Offers twice(2);
  for (auto entry : twice.list) entry.setName("samgr");
  CHECK(twice.check() == "two offers have the name \"samgr\"");
  Offers sixteen(16), more(17);
  for (auto* offers : {&sixteen, &more}) {
    for (auto i : kj::indices(offers->list)) {
      offers->list[i].setName(kj::str("s", i));
      offers->list[i].setSchema("samgr");
    }
  }
  CHECK(sixteen.check().startsWith("fine: rpc:s0, rpc:s1"));
  CHECK(more.check() == "at most 16 offers");
}

TEST_CASE("a file of 4 MiB is read, a longer one is not") {
  auto disk = kj::newDiskFilesystem();
  auto path = kj::str(getenv("TEST_TMPDIR"), "/large.schema");
  auto file =
      disk->getRoot().openFile(disk->getCurrentPath().evalNative(path), kj::WriteMode::CREATE | kj::WriteMode::MODIFY);
  file->truncate(MAX_SCHEMA_BYTES);
  CHECK(readSchemaFile(path).is<kj::Array<kj::byte>>());
  CHECK(has(offer("notes", path), "this is no compiled schema"));  // nothing but zeros
  file->truncate(MAX_SCHEMA_BYTES + 1);
  CHECK(offer("notes", path) == kj::str("the offer \"notes\": ", path, ": the file is longer than 4 MiB"));
}

}  // namespace
}  // namespace nexus
