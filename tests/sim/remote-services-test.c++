// The way of a request from one node to a service of another: two whole nodes on a network in memory, and behind the
// proxy of the second the real samgrd, bundlemgrd, packagefsd and statefsd over folders on disk. The names beginning
// with "remote_" and "test_" are those of other implementations of these protocols (docs/testing/index.md).
#include <doctest/doctest.h>
#include <kj/debug.h>

#include "daemons/bundlemgrd/bundlemgrd.h"
#include "daemons/packagefsd/packagefsd.h"
#include "daemons/samgrd/samgrd.h"
#include "daemons/statefsd/statefsd.h"
#include "libs/nexus-net-os/testing/temporary-store.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "libs/oslite-frames/statefs-gate.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

constexpr auto TOML = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
sessionPort = 34568
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
dial = false
[[dsoftbusd.trust]]
name = "node-c"
testIdentity = "node-c"
dial = false
[[dsoftbusd.policy]]
peer = "node-a"
service = "samgrd"
operations = ["resolve-status"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "bundlemgrd"
operations = ["list", "query"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "packagefsd"
operations = ["stat", "open", "read", "close"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "statefsd"
operations = ["put", "get", "del", "list", "sync"]
[[dsoftbusd.policy]]
peer = "node-c"
service = "packagefsd"
operations = ["read", "close"]
)"_kj;

kj::String dialling(kj::StringPtr name) {
  return kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", name,
                 "\"\nsessionPort = 34567\n[[dsoftbusd.trust]]\nname = \"node-b\"\ntestIdentity = \"node-b\"\n");
}

const auto BUILD_PROP = "pkg:/system/1.0.0/build.prop"_kj;
const auto KEY = "/state/shared/selftest/remote-rw"_kj;

// What node-b serves.
struct Services {
  TemporaryStore store;
  TemporaryFolder folder;
  Samgrd samgrd;
  Bundlemgrd bundlemgrd;
  Packagefsd packagefsd;
  Statefsd statefsd;

  explicit Services(kj::Timer& timer)
      : samgrd(timer),
        bundlemgrd(BundleStore(store.root.c_str()), timer),
        packagefsd(PackageFiles(store.root.c_str()), timer),
        statefsd(StateStore(folder.root.c_str()), timer) {
    samgrd.registerAtStart("bundlemgrd");
  }

  SimServices clients() {
    return {samgrd.connect("dsoftbusd", PeerCredentials{}), bundlemgrd.connect(), packagefsd.connect(),
            statefsd.connect()};
  }
};

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  Services services{sim.timer};
  kj::Own<SimBusNode> a, b, c;

  explicit Fixture(bool served = true) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    network.addNode("node-c", IpAddress::v4(10, 42, 0, 12));
    a = kj::heap<SimBusNode>(sim, network, "node-a", dialling("node-a"));
    b = kj::heap<SimBusNode>(sim, network, "node-b", TOML, served ? services.clients() : SimServices{});
    c = kj::heap<SimBusNode>(sim, network, "node-c", dialling("node-c"));
  }

  // A call that the proxy lets through, whatever the service says.
  Bytes pk(SimBusNode& from, kj::ArrayPtr<const kj::byte> frame) { return mustCall(from, "packagefsd", frame); }
  Bytes mustCall(SimBusNode& from, kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame) {
    auto reply = from.call("node-b", service, frame);
    CHECK(reply.status == CallStatus::OK);
    return kj::mv(reply.reply);
  }

  pk::StatReply stat(kj::StringPtr path) {
    return KJ_ASSERT_NONNULL(pk::decodeStatReply(pk(*a, KJ_ASSERT_NONNULL(pk::tryEncodeStat(path.asArray())))));
  }
  pk::OpenReply open(kj::StringPtr path = BUILD_PROP) {
    return KJ_ASSERT_NONNULL(pk::decodeOpenReply(pk(*a, KJ_ASSERT_NONNULL(pk::tryEncodeOpen(path.asArray())))));
  }
  kj::OneOf<kj::String, pk::Status> read(uint32_t handle, uint32_t offset = 0, uint16_t length = 64) {
    auto bytes = pk(*a, KJ_ASSERT_NONNULL(pk::tryEncodeRead(handle, offset, length)));
    auto reply = KJ_ASSERT_NONNULL(pk::decodeReadReply(bytes));
    if (reply.status != pk::Status::OK) return reply.status;
    return kj::str(reply.data.asChars());
  }
  pk::Status readStatus(uint32_t handle) { return read(handle).get<pk::Status>(); }
  pk::Status close(uint32_t handle) { return KJ_ASSERT_NONNULL(pk::decodeCloseReply(pk(*a, pk::encodeClose(handle)))); }

  template <typename T>
  Bytes sfBytes(T body, sf::Nonce nonce = nullptr) {
    auto frame = KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nonce, kj::mv(body)}));
    return mustCall(*a, "statefsd", frame);
  }
  sf::Status put(kj::StringPtr key, kj::StringPtr value, sf::Nonce nonce = nullptr) {
    auto reply = sfBytes(sf::Put{key.asArray(), value.asBytes()}, nonce);
    return KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::PUT, reply)).status;
  }
  sf::Status del(kj::StringPtr key) {
    auto reply = sfBytes(sf::Del{key.asArray()});
    return KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::DEL, reply)).status;
  }
  kj::OneOf<kj::String, sf::Status> get(kj::StringPtr key, sf::Nonce nonce = nullptr) {
    auto bytes = sfBytes(sf::Get{key.asArray()}, nonce);
    auto reply = KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::GET, bytes));
    CHECK(sf::correlates(nonce, reply));
    if (reply.status != sf::Status::OK) return reply.status;
    return kj::str(reply.value.asChars());
  }

  kj::Vector<kj::String> audited() {
    kj::Vector<kj::String> all;
    b->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) {
      all.add(kj::str(e.peer, " ", e.service, " ", e.operation, " ", statusName(e.verdict)));
    });
    return all;
  }
};

TEST_CASE("remote_roundtrip_and_negative_handshake") {
  Fixture f;
  auto resolve = [&](kj::StringPtr name) {
    auto frame = KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus(name.asArray()));
    auto reply = f.mustCall(*f.a, "samgrd", frame);
    return KJ_ASSERT_NONNULL(sm::decodeReply(reply, sm::Op::RESOLVE_STATUS)).status;
  };
  CHECK(resolve("bundlemgrd") == sm::Status::OK);
  CHECK(resolve("does.not.exist") == sm::Status::NOT_FOUND);
  auto list = f.mustCall(*f.a, "bundlemgrd", bn::encodeList());
  CHECK(KJ_ASSERT_NONNULL(bn::decodeListReply(list)).count == 1);
  // Nothing can be uploaded or installed from another node: there is no such operation.
  for (kj::byte op : {4, 5, 6, 127}) {
    kj::byte frame[] = {'B', 'N', 1, op, 1};
    CHECK(f.a->call("node-b", "bundlemgrd", frame).status == CallStatus::MALFORMED);
  }
  // A key that is not the one of the trust table.
  f.c->stop();
  SimBusNode mallory(f.sim, f.network, "node-c", dialling("mallory"));
  f.sim.advance(3 * kj::SECONDS);
  CHECK(mallory.state("node-b") == idl::SessionState::REFUSED);
}

TEST_CASE("a query from another node tells version and count of one bundle") {
  Fixture f;
  f.services.store.write("app/2.0/data", "x");
  for (auto name : {"system"_kj, "app"_kj, "nothing"_kj}) {
    auto bytes = f.mustCall(*f.a, "bundlemgrd", KJ_ASSERT_NONNULL(bn::tryEncodeQuery(name.asArray())));
    auto reply = KJ_ASSERT_NONNULL(bn::decodeQueryReply(bytes));
    CHECK(reply.status == bn::Status::OK);
    CHECK(reply.installed == (name == "nothing" ? 0 : 1));
    CHECK(kj::str(reply.version) == (name == "system" ? "1.0.0" : name == "app" ? "2.0" : ""));
  }
}

TEST_CASE("remote_packagefs_roundtrip_stat_open_read_close") {
  Fixture f;
  CHECK_FALSE(f.b->printed(marker::BUS_REMOTE_PACKAGEFS));
  auto stat = f.stat(BUILD_PROP);
  CHECK(stat.status == pk::Status::OK);
  CHECK(stat.size == 19);
  CHECK(stat.kind == pk::KIND_FILE);
  CHECK(f.b->printCount(marker::BUS_REMOTE_PACKAGEFS) == 1);
  auto opened = f.open();
  CHECK(opened.status == pk::Status::OK);
  CHECK(f.read(opened.handle).get<kj::String>() == "ro.nexus.build=dev\n");
  CHECK(f.read(opened.handle, 3, 5).get<kj::String>() == "nexus");
  CHECK(f.read(opened.handle, 19).get<kj::String>() == "");
  CHECK(f.close(opened.handle) == pk::Status::OK);
  CHECK(f.b->printCount(marker::BUS_REMOTE_PACKAGEFS) == 1);
  auto all = f.audited();
  REQUIRE(all.size() == 6);
  CHECK(all[0] == "node-a packagefsd stat ok");
  CHECK(all[1] == "node-a packagefsd open ok");
  CHECK(all[2] == "node-a packagefsd read ok");
  CHECK(all[5] == "node-a packagefsd close ok");
}

TEST_CASE("remote_packagefs_negative_statuses") {
  Fixture f;
  CHECK(f.stat("pkg:/system/1.0.0/missing").status == pk::Status::NOT_FOUND);
  CHECK(f.open("/packages/system/9.9.9/build.prop").status == pk::Status::NOT_FOUND);
  CHECK(f.readStatus(77) == pk::Status::BADF);
  CHECK(f.close(77) == pk::Status::BADF);
  // What the service answered crossed, so the calls are ok; but nobody was served.
  for (auto& line : f.audited()) CHECK(line.endsWith(" ok"));
  CHECK_FALSE(f.b->printed(marker::BUS_REMOTE_PACKAGEFS));
}

TEST_CASE("remote_packagefs_rejects_invalid_paths_and_read_bounds") {
  Fixture f;
  CHECK(f.stat("pkg:/system/../../etc/passwd").status == pk::Status::PATH_TRAVERSAL);
  CHECK(f.open("pkg:/system/./build.prop").status == pk::Status::PATH_TRAVERSAL);
  CHECK(f.stat("file:/etc/passwd").status == pk::Status::NON_PACKAGEFS_SCHEME);
  auto tooMuch = KJ_ASSERT_NONNULL(pk::tryEncodeRead(1, 0, 128));
  tooMuch[12] = 129;
  CHECK(f.pk(*f.a, tooMuch)[4] == kj::byte(pk::Status::OVERSIZED));
  for (auto& line : f.audited()) CHECK(line.endsWith(" refused"));
  CHECK_FALSE(f.b->printed(marker::BUS_REMOTE_PACKAGEFS));
}

TEST_CASE("remote_pkgfs_roundtrip_and_negative_statuses") {
  Fixture f;
  kj::Vector<uint32_t> handles;
  for (size_t i = 0; i < pk::MAX_OPEN_HANDLES; i++) {
    auto opened = f.open();
    CHECK(opened.status == pk::Status::OK);
    handles.add(opened.handle);
  }
  CHECK(f.open().status == pk::Status::LIMIT);
  CHECK(f.close(handles[0]) == pk::Status::OK);
  CHECK(f.close(handles[0]) == pk::Status::BADF);
  CHECK(f.readStatus(handles[0]) == pk::Status::BADF);
  CHECK(f.open().status == pk::Status::OK);
  CHECK(f.stat("pkg:/../x").status == pk::Status::PATH_TRAVERSAL);
  CHECK(f.stat("pkg:/nothing/1/x").status == pk::Status::NOT_FOUND);
}

TEST_CASE("what a peer has open is its own, and is closed when its session ends") {
  Fixture f;
  auto opened = f.open();
  auto theft = KJ_ASSERT_NONNULL(pk::tryEncodeRead(opened.handle, 0, 16));
  CHECK(f.pk(*f.c, theft)[4] == kj::byte(pk::Status::BADF));
  CHECK(f.pk(*f.c, pk::encodeClose(opened.handle))[4] == kj::byte(pk::Status::BADF));
  CHECK(f.read(opened.handle).is<kj::String>());
  // node-c may read what it cannot open.
  auto open = KJ_ASSERT_NONNULL(pk::tryEncodeOpen(BUILD_PROP.asArray()));
  CHECK(f.c->call("node-b", "packagefsd", open).status == CallStatus::DENIED);

  for (size_t i = 1; i < pk::MAX_OPEN_HANDLES; i++) f.open();
  CHECK(f.open().status == pk::Status::LIMIT);
  f.network.killConnections("node-a");
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.readStatus(opened.handle) == pk::Status::BADF);
  CHECK(f.open().status == pk::Status::OK);
}

TEST_CASE("test_gateway_contract_rw_roundtrip_uses_protocol_shapes") {
  Fixture f;
  for (auto nonce : {sf::Nonce(nullptr), sf::Nonce(uint64_t(7)), sf::Nonce(uint64_t(0))}) {
    CHECK(f.put(KEY, "remote-statefs-rw-v1", nonce) == sf::Status::OK);
    CHECK(f.get(KEY, nonce).get<kj::String>() == "remote-statefs-rw-v1");
    CHECK(f.del(KEY) == sf::Status::OK);
    CHECK(f.get(KEY, nonce).get<sf::Status>() == sf::Status::NOT_FOUND);
    CHECK(f.del(KEY) == sf::Status::NOT_FOUND);
  }
  auto synced = f.sfBytes(sf::Sync{}, uint64_t(3));
  CHECK(KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::SYNC, synced)).status == sf::Status::OK);
  CHECK(f.b->printCount(marker::BUS_REMOTE_STATEFS) == 1);
  auto all = f.audited();
  CHECK(all[0] == "node-a statefsd put ok");
  CHECK(all[1] == "node-a statefsd get ok");
  CHECK(all[2] == "node-a statefsd del ok");
}

TEST_CASE("test_gateway_contract_rejects_outside_acl_before_backend") {
  Fixture f;
  f.services.statefsd.store.put("/state/private/secret"_kj.asArray(), "a secret"_kj.asBytes());
  CHECK(f.get("/state/private/secret").get<sf::Status>() == sf::Status::ACCESS_DENIED);
  CHECK(f.put("/state/private/secret", "overwritten") == sf::Status::ACCESS_DENIED);
  CHECK(f.put("/state/shared/", "no leaf") == sf::Status::ACCESS_DENIED);
  CHECK(f.del("/state/shared/../private/secret") == sf::Status::INVALID_KEY);
  CHECK(f.put(KEY, kj::str(kj::repeat('v', 129))) == sf::Status::VALUE_TOO_LARGE);
  auto reopen = KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::Reopen{}}));
  CHECK(f.a->call("node-b", "statefsd", reopen).status == CallStatus::DENIED);
  CHECK(f.services.statefsd.counters.frames == 0);
  CHECK_FALSE(f.b->printed(marker::BUS_REMOTE_STATEFS));
  auto all = f.audited();
  for (size_t i = 0; i < 5; i++) CHECK(all[i].endsWith(" refused"));
}

TEST_CASE("a get is no proof that statefs was served, a list shows shared keys alone, and fits") {
  Fixture f;
  auto& store = f.services.statefsd.store;
  store.put("/state/private/secret"_kj.asArray(), "x"_kj.asBytes());
  for (int i = 0; i < 30; i++) {
    auto key = kj::str("/state/shared/", kj::repeat('k', 60), i);
    store.put(key.asArray(), "x"_kj.asBytes());
  }
  auto bytes = f.sfBytes(sf::List{"/state/shared/"_kj.asArray(), 64});
  CHECK(bytes.size() <= 512);
  auto reply = KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::LIST, bytes));
  CHECK(reply.keys.size() == 6);  // whole keys, as many as there is room for
  for (auto& key : reply.keys) CHECK(kj::str(key).startsWith("/state/shared/k"));
  auto outside = f.sfBytes(sf::List{"/state/"_kj.asArray(), 64});
  CHECK(KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::LIST, outside)).status == sf::Status::ACCESS_DENIED);
  // A value that this node stored and that is too large for the bus.
  auto large = kj::heapArray<kj::byte>(600);
  memset(large.begin(), 'v', large.size());
  store.put(KEY.asArray(), large);
  auto get = KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::Get{KEY.asArray()}}));
  CHECK(f.a->call("node-b", "statefsd", get).status == CallStatus::REPLY_OVERSIZED);
  CHECK_FALSE(f.b->printed(marker::BUS_REMOTE_STATEFS));
}

TEST_CASE("a node without the two daemons refuses them with a status, whatever its rules say") {
  Fixture f(false);
  auto stat = KJ_ASSERT_NONNULL(pk::tryEncodeStat(BUILD_PROP.asArray()));
  CHECK(f.a->call("node-b", "packagefsd", stat).status == CallStatus::BACKEND_FAILED);
  auto sync = KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::Sync{}}));
  CHECK(f.a->call("node-b", "statefsd", sync).status == CallStatus::BACKEND_FAILED);
}

}  // namespace
}  // namespace nexus
