#include "daemons/bundlemgrd/bundlemgrd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/nexus-net-os/testing/temporary-store.h"
#include "libs/oslite-frames/bundle-image.h"
#include "libs/oslite-frames/bundlemgr-frames.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using Bytes = kj::Array<kj::byte>;

// The calls of a client, whatever its capability runs over.
struct Client {
  kj::WaitScope& waitScope;
  idl::Bundlemgr::Client bundlemgr;

  Bytes frame(kj::ArrayPtr<const kj::byte> bytes) {
    auto request = bundlemgr.osLiteRequest();
    request.setFrame(bytes);
    return kj::heapArray<kj::byte>(request.send().wait(waitScope).getReply());
  }

  bn::ListReply listFrame() { return KJ_REQUIRE_NONNULL(bn::decodeListReply(frame(bn::encodeList()))); }
};

struct Fixture {
  TemporaryStore store;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Bundlemgrd bundlemgrd{BundleStore(store.root.c_str()), io.provider->getTimer()};
  CapServer server{[this](const PeerCredentials&) { return bundlemgrd.connect(); }};
  CapConnection connection{connect()};

  kj::Own<kj::AsyncCapabilityStream> connect() {
    auto pipe = io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    return kj::mv(pipe.ends[1]);
  }

  Client client() { return {io.waitScope, connection.bootstrap().castAs<idl::Bundlemgr>()}; }

  idl::DaemonStatus::Health health(kj::StringPtr expectedDetail) {
    auto response = bundlemgrd.status().snapshotRequest().send().wait(io.waitScope);
    CHECK(std::string(response.getStatus().getDetail().cStr()).find(expectedDetail.cStr()) != std::string::npos);
    return response.getStatus().getHealth();
  }
};

void checkFault(const Bytes& reply, uint8_t op, bn::Status status) {
  auto fault = KJ_ASSERT_NONNULL(bn::decodeFault(reply));
  CHECK(int(fault.replyOp) == int(op));
  CHECK(fault.status == status);
}

TEST_CASE("list tells name, version, files and bytes of each bundle") {
  Fixture f;
  f.store.write("app/2.1/bin/app", "four");
  f.store.write("app/2.1/data", "x");
  auto response = f.client().bundlemgr.listRequest().send().wait(f.io.waitScope);
  auto bundles = response.getBundles();
  REQUIRE(bundles.size() == 2);
  CHECK(bundles[0].getName() == "app");
  CHECK(bundles[0].getVersion() == "2.1");
  CHECK(bundles[0].getFiles() == 2);
  CHECK(bundles[0].getBytes() == 5);
  CHECK(bundles[1].getName() == "system");
}

TEST_CASE("fetchImage and FETCH_IMAGE give the same image, and it decodes whole") {
  Fixture f;
  auto response = f.client().bundlemgr.fetchImageRequest().send().wait(f.io.waitScope);
  auto entries = KJ_ASSERT_NONNULL(nxbi::decodeImage(response.getImage()));
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].data == "ro.nexus.build=dev\n"_kj.asBytes());
  auto frame = f.client().frame(bn::encodeFetchImage());
  auto reply = KJ_ASSERT_NONNULL(bn::decodeImageReply(frame));
  CHECK(reply.status == bn::Status::OK);
  CHECK(reply.image == response.getImage());
}

TEST_CASE("LIST counts what the store holds now") {
  Fixture f;
  auto reply = f.client().listFrame();
  CHECK(reply.status == bn::Status::OK);
  CHECK(reply.count == 1);
  f.store.write("app/1.0/x", "x");
  CHECK(f.client().listFrame().count == 2);
}

TEST_CASE("a query tells how many versions of a bundle there are and which is the last, as method and as frame") {
  Fixture f;
  f.store.write("app/1.0/x", "x");
  f.store.write("app/1.2/x", "x");
  struct {
    kj::StringPtr name, version;
    kj::uint installed;
  } cases[] = {{"system"_kj, "1.0.0"_kj, 1}, {"app"_kj, "1.2"_kj, 2}, {"ap"_kj, ""_kj, 0}, {"app/1.0"_kj, ""_kj, 0}};
  for (auto& c : cases) {
    auto request = f.client().bundlemgr.queryRequest();
    request.setName(c.name);
    auto response = request.send().wait(f.io.waitScope);
    CHECK(response.getInstalled() == c.installed);
    CHECK(kj::str(response.getVersion()) == c.version);
    auto frame = f.client().frame(KJ_ASSERT_NONNULL(bn::tryEncodeQuery(c.name.asArray())));
    auto reply = KJ_ASSERT_NONNULL(bn::decodeQueryReply(frame));
    CHECK(reply.status == bn::Status::OK);
    CHECK(reply.installed == c.installed);
    CHECK(reply.version == c.version.asArray());
  }
}

TEST_CASE("ROUTE_STATUS answers OK with the route status of no answer, because there is no router") {
  Fixture f;
  auto frame = f.client().frame(KJ_ASSERT_NONNULL(bn::tryEncodeRoute("samgrd"_kj)));
  auto reply = KJ_ASSERT_NONNULL(bn::decodeRouteReply(frame));
  CHECK(reply.status == bn::Status::OK);
  CHECK(reply.route == bn::RouteStatus::NO_ANSWER);
}

TEST_CASE("frames with faults are answered with 8 bytes") {
  Fixture f;
  auto c = f.client();
  checkFault(c.frame("bad"_kj.asBytes()), 0x81, bn::Status::MALFORMED);
  checkFault(c.frame(nullptr), 0x81, bn::Status::MALFORMED);
  for (int op : {4, 5, 6, 0x7f}) {
    kj::byte unknown[] = {'B', 'N', 1, kj::byte(op)};
    checkFault(c.frame(unknown), op | 0x80, bn::Status::UNSUPPORTED);
  }
  kj::byte tooLong[] = {'B', 'N', 1, 1, 0};
  checkFault(c.frame(tooLong), 0x81, bn::Status::MALFORMED);
  kj::byte shortRoute[] = {'B', 'N', 1, 2};
  checkFault(c.frame(shortRoute), 0x82, bn::Status::MALFORMED);
  kj::byte route[] = {'B', 'N', 1, 2, 9, 'x'};
  checkFault(c.frame(route), 0x82, bn::Status::MALFORMED);
  CHECK(f.bundlemgrd.counters.faults == 9);
}

TEST_CASE("a frame of 512 bytes is looked at, a longer one fails the call") {
  Fixture f;
  auto longest = kj::heapArray<kj::byte>(512);
  memset(longest.begin(), 0, longest.size());
  checkFault(f.client().frame(longest), 0x81, bn::Status::MALFORMED);
  CHECK_THROWS(f.client().frame(kj::heapArray<kj::byte>(513)));
}

TEST_CASE("a refused bundle makes the daemon degraded, not silent") {
  Fixture f;
  CHECK(f.health("serves 1 bundles, refuses 0") == idl::DaemonStatus::Health::UP);
  fs::create_directories(f.store.root / "evil/1.0");
  fs::create_symlink("/etc/passwd", f.store.root / "evil/1.0/passwd");
  CHECK(f.health("serves 1 bundles, refuses 1") == idl::DaemonStatus::Health::DEGRADED);
  CHECK(f.client().listFrame().count == 1);
}

TEST_CASE("a store above its bounds fails the methods and answers frames with UNSUPPORTED") {
  Fixture f;
  auto big = f.store.root / "system/1.0.0/build.prop";
  fs::resize_file(big, uintmax_t(1) << 30);
  CHECK_THROWS(f.client().bundlemgr.listRequest().send().wait(f.io.waitScope));
  CHECK_THROWS(f.client().bundlemgr.fetchImageRequest().send().wait(f.io.waitScope));
  checkFault(f.client().frame(bn::encodeList()), 0x81, bn::Status::UNSUPPORTED);
  checkFault(f.client().frame(bn::encodeFetchImage()), 0x83, bn::Status::UNSUPPORTED);
  CHECK(f.health("too large for an image") == idl::DaemonStatus::Health::DEGRADED);
  CHECK(f.bundlemgrd.counters.storeFaults == 4);
  fs::resize_file(big, 5);
  CHECK(f.client().listFrame().count == 1);
}

TEST_CASE("the daemon serves its clients under its system call list") {
  TemporaryStore store;
  TemporaryFolder settings;
  auto config = settings.write("config.toml", kj::str("[bundlemgrd]\nstore = \"", store.path(), "\"\n"));
  DaemonProcess daemon("daemons/bundlemgrd/bundlemgrd", {"bundlemgr-alice"_kj, "status-bundlemgrd"_kj},
                       {"--config"_kj, kj::StringPtr(config)});
  daemon.waitForLine("bundlemgrd: ready");
  auto io = kj::setupAsyncIo();
  auto& network = io.provider->getNetwork();
  CapReconnect alice(unixConnector(network, daemon.socketPath("bundlemgr-alice")));
  CapReconnect status(unixConnector(network, daemon.socketPath("status-bundlemgrd")));
  Client client{io.waitScope, alice.get<idl::Bundlemgr>()};
  CHECK(client.listFrame().count == 1);
  CHECK(KJ_ASSERT_NONNULL(bn::decodeImageReply(client.frame(bn::encodeFetchImage()))).status == bn::Status::OK);
  CHECK(client.bundlemgr.listRequest().send().wait(io.waitScope).getBundles().size() == 1);
  // The largest image crosses, by either method.
  store.writeZeros("system/1.0.0/large.bin", 16 * 1024 * 1024 - 4096);
  CHECK(client.bundlemgr.fetchImageRequest().send().wait(io.waitScope).getImage().size() > 16 * 1024 * 1024 - 4096);
  CHECK(KJ_ASSERT_NONNULL(bn::decodeImageReply(client.frame(bn::encodeFetchImage()))).status == bn::Status::OK);
  fs::remove(store.root / "system/1.0.0/large.bin");
  // A fault of the store is an exception inside the daemon, and not the end of it.
  fs::create_symlink("/etc", store.root / "evil");
  fs::resize_file(store.root / "system/1.0.0/build.prop", uintmax_t(1) << 30);
  CHECK_THROWS(client.bundlemgr.listRequest().send().wait(io.waitScope));
  fs::remove(store.root / "evil");
  fs::resize_file(store.root / "system/1.0.0/build.prop", 5);
  CHECK(client.listFrame().count == 1);
  auto snapshot = status.get<idl::Status>().snapshotRequest().send().wait(io.waitScope);
  CHECK(snapshot.getStatus().getHealth() == idl::DaemonStatus::Health::UP);
  daemon.terminate();
  CHECK(daemon.wait() == 0);
}

TEST_CASE("a store that is missing ends the start with its name and the remedy") {
  TemporaryFolder settings;
  auto config = settings.write("config.toml", "[bundlemgrd]\nstore = \"/nonexistent/store\"\n");
  DaemonProcess daemon("daemons/bundlemgrd/bundlemgrd", {"bundlemgr-alice"_kj}, {"--config"_kj, kj::StringPtr(config)});
  CHECK(daemon.wait() == 1);
  CHECK(daemon.output().find("/nonexistent/store") != std::string::npos);
  CHECK(daemon.output().find("set `store` in [bundlemgrd]") != std::string::npos);
  CHECK(daemon.output().find("bundlemgrd: ready") == std::string::npos);
}

}  // namespace
}  // namespace nexus
