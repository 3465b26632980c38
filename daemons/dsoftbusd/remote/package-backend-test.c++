#include "daemons/dsoftbusd/remote/package-backend.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "libs/oslite-frames/packagefs-frames.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

// What packagefsd would be asked. A session counts the files that were opened in it and takes only their handles.
struct Store {
  kj::uint sessionsMade = 0, sessionsNow = 0;
  bool refusesSessions = false;
};

class SessionStandIn final : public idl::Packagefs::Server {
 public:
  explicit SessionStandIn(Store& store) : store(store) { store.sessionsNow++; }
  ~SessionStandIn() noexcept(false) { store.sessionsNow--; }

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto request = pk::decodeRequest(true, context.getParams().getFrame());
    if (request.is<pk::Open>()) context.getResults().setReply(pk::encodeOpenReply(++opened));
    if (request.is<pk::Close>()) {
      bool known = request.get<pk::Close>().handle <= opened;
      context.getResults().setReply(pk::encodeStatus(pk::Op::CLOSE, known ? pk::Status::OK : pk::Status::BADF));
    }
    return kj::READY_NOW;
  }

 private:
  Store& store;
  uint32_t opened = 0;
};

class PackagefsStandIn final : public idl::Packagefs::Server {
 public:
  explicit PackagefsStandIn(Store& store) : store(store) {}
  kj::Promise<void> osLite(OsLiteContext) override { KJ_FAIL_REQUIRE("no peer has the daemon's own session"); }
  kj::Promise<void> newSession(NewSessionContext context) override {
    if (store.refusesSessions) return KJ_EXCEPTION(OVERLOADED, "too many");
    store.sessionsMade++;
    context.getResults().setSession(kj::heap<SessionStandIn>(store));
    return kj::READY_NOW;
  }

 private:
  Store& store;
};

// A packagefsd that may be gone, as after a restart of it.
struct Fixture {
  SimClock sim;
  Store store;
  kj::uint connections = 0;
  bool gone = false;
  PackageBackend backend{[this]() -> idl::Packagefs::Client {
    connections++;
    if (gone) return idl::Packagefs::Client(KJ_EXCEPTION(DISCONNECTED, "packagefsd was restarted"));
    return kj::heap<PackagefsStandIn>(store);
  }};

  Bytes call(kj::StringPtr peer, Bytes frame) {
    return sim.run(kj::evalNow([&] { return backend.call({true, peer, "id"_kj}, kj::mv(frame)); }));
  }
  uint32_t open(kj::StringPtr peer) {
    auto frame = KJ_ASSERT_NONNULL(pk::tryEncodeOpen("pkg:/system/1.0.0/build.prop"_kj.asArray()));
    return KJ_ASSERT_NONNULL(pk::decodeOpenReply(call(peer, kj::mv(frame)))).handle;
  }
  pk::Status close(kj::StringPtr peer, uint32_t handle) {
    return KJ_ASSERT_NONNULL(pk::decodeCloseReply(call(peer, pk::encodeClose(handle))));
  }
};

TEST_CASE("each peer has a session of its own: a handle of one means nothing to another") {
  Fixture f;
  CHECK(f.open("node-a") == 1);
  CHECK(f.open("node-a") == 2);
  CHECK(f.close("node-b", 1) == pk::Status::BADF);
  CHECK(f.open("node-b") == 1);
  CHECK(f.close("node-a", 2) == pk::Status::OK);
  CHECK(f.store.sessionsMade == 2);
}

TEST_CASE("what a peer has open goes with its session on the bus, and that of nobody else") {
  Fixture f;
  f.open("node-a");
  f.open("node-b");
  f.backend.endSession("node-a");
  f.backend.endSession("node-a");
  f.backend.endSession("node-c");
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.store.sessionsNow == 1);
  CHECK(f.close("node-a", 1) == pk::Status::BADF);
  CHECK(f.close("node-b", 1) == pk::Status::OK);
}

TEST_CASE("as many peers as packagefsd takes of one client, and no more") {
  Fixture f;
  for (size_t i = 0; i < PackageBackend::MAX_PEERS; i++) f.open(kj::str("peer-", i));
  CHECK(f.backend.sessionCount() == 64);
  auto failure = kj::runCatchingExceptions([&] { f.open("one-more"); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  CHECK(f.open("peer-7") == 2);
  f.backend.endSession("peer-7");
  CHECK(f.open("one-more") == 1);
}

TEST_CASE("a session whose packagefsd is gone is made again, with nothing open in it") {
  Fixture f;
  f.gone = true;  // the connection of before the restart
  auto failure = kj::runCatchingExceptions([&] { f.open("node-a"); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  CHECK(f.connections == 2);  // asked twice, not for ever
  f.gone = false;
  CHECK(f.close("node-a", 1) == pk::Status::BADF);
  CHECK(f.connections == 3);
  CHECK(f.open("node-a") == 1);
  CHECK(f.connections == 3);  // and kept from then on
}

TEST_CASE("a session that packagefsd refuses is not kept") {
  Fixture f;
  f.store.refusesSessions = true;
  CHECK(kj::runCatchingExceptions([&] { f.open("node-a"); }) != nullptr);
  CHECK(f.backend.sessionCount() == 0);
  f.store.refusesSessions = false;
  CHECK(f.open("node-a") == 1);
}

}  // namespace
}  // namespace nexus
