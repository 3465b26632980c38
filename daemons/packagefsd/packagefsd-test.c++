#include "daemons/packagefsd/packagefsd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <unistd.h>

#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/nexus-net-os/testing/temporary-store.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;
using Status = idl::Packagefs::Status;
constexpr kj::StringPtr BUILD_PROP = "pkg:/system/1.0.0/build.prop"_kj;

// The calls of a client, whatever its capability runs over.
struct Client {
  kj::WaitScope& waitScope;
  idl::Packagefs::Client packagefs;

  Bytes frame(kj::ArrayPtr<const kj::byte> bytes) {
    auto request = packagefs.osLiteRequest();
    request.setFrame(bytes);
    return kj::heapArray<kj::byte>(request.send().wait(waitScope).getReply());
  }
  uint32_t open() {
    auto reply = KJ_ASSERT_NONNULL(pk::decodeOpenReply(frame(KJ_ASSERT_NONNULL(pk::tryEncodeOpen(BUILD_PROP)))));
    CHECK(reply.status == pk::Status::OK);
    return reply.handle;
  }
  pk::Status read(uint32_t handle) {
    auto reply = frame(KJ_ASSERT_NONNULL(pk::tryEncodeRead(handle, 0, 128)));
    return KJ_ASSERT_NONNULL(pk::decodeReadReply(reply)).status;
  }
  Status stat(kj::StringPtr path) {
    auto request = packagefs.statRequest();
    request.setPath(path);
    return request.send().wait(waitScope).getStatus();
  }
  Status readFile(kj::StringPtr path, kj::String& out) {
    auto request = packagefs.readFileRequest();
    request.setPath(path);
    auto response = request.send().wait(waitScope);
    out = kj::heapString(response.getData().asChars());
    return response.getStatus();
  }
  Client newSession() { return {waitScope, packagefs.newSessionRequest().send().wait(waitScope).getSession()}; }
};

struct Fixture {
  TemporaryStore store;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Packagefsd packagefsd{PackageFiles(store.root.c_str()), io.provider->getTimer()};

  Client client() { return {io.waitScope, packagefsd.connect()}; }

  uint64_t counter(kj::StringPtr name) {
    auto response = packagefsd.status().snapshotRequest().send().wait(io.waitScope);
    for (auto counter : response.getStatus().getCounters()) {
      if (counter.getName() == name) return counter.getValue();
    }
    KJ_FAIL_REQUIRE("no such counter", name);
  }
};

TEST_CASE("the methods tell and read files, and refuse paths by the rules of the frames") {
  Fixture f;
  auto c = f.client();
  kj::String data;
  CHECK(c.readFile(BUILD_PROP, data) == Status::OK);
  CHECK(data == "ro.nexus.build=dev\n");
  CHECK(c.stat(BUILD_PROP) == Status::OK);
  CHECK(c.stat("pkg:/none") == Status::NOT_FOUND);
  CHECK(c.stat("pkg:/../x") == Status::PATH_TRAVERSAL);
  CHECK(c.readFile("/etc/passwd", data) == Status::NON_PACKAGEFS_SCHEME);
  CHECK(c.readFile("pkg:/system", data) == Status::BAD_REQUEST);
  f.store.writeZeros("app/1/large", pk::MAX_FILE_BYTES + 1);
  CHECK(c.readFile("pkg:/app/1/large", data) == Status::OVERSIZED);
  CHECK(data == "");
}

TEST_CASE("each connection and each session has its own handles, which end with it") {
  Fixture f;
  auto alice = f.client(), bob = f.client();
  auto handle = alice.open();
  CHECK(alice.read(handle) == pk::Status::OK);
  CHECK(bob.read(handle) == pk::Status::BADF);
  auto session = alice.newSession();
  CHECK(session.read(handle) == pk::Status::BADF);
  CHECK(session.open() == 1);
  CHECK(f.counter("packagefs.sessionsNow") == 3);
  {
    auto gone = kj::mv(session);
  }
  f.io.waitScope.poll();
  CHECK(f.counter("packagefs.sessionsNow") == 2);
}

TEST_CASE("the 65th session of a connection is OVERLOADED, and another connection has its own 64") {
  Fixture f;
  auto c = f.client();
  kj::Vector<Client> sessions;
  for (size_t i = 0; i < Packagefsd::MAX_SESSIONS; i++) sessions.add(c.newSession());
  CHECK_THROWS(c.newSession());
  CHECK_THROWS(sessions[0].newSession());  // a session of a session counts with the rest
  CHECK(f.counter("packagefs.sessionsRefused") == 2);
  CHECK(f.client().newSession().stat(BUILD_PROP) == Status::OK);
  sessions.removeLast();
  f.io.waitScope.poll();
  CHECK(c.newSession().stat(BUILD_PROP) == Status::OK);
}

TEST_CASE("a frame of 512 bytes is looked at, a longer one fails the call") {
  Fixture f;
  auto longest = kj::heapArray<kj::byte>(512);
  memset(longest.begin(), 0, longest.size());
  CHECK(f.client().frame(longest).size() == pk::FAULT_REPLY_BYTES);
  CHECK(f.counter("packagefs.refusals") == 1);
  CHECK_THROWS(f.client().frame(kj::heapArray<kj::byte>(513)));
}

TEST_CASE("the daemon serves its clients under its system call list") {
  TemporaryStore store;
  TemporaryFolder settings;
  auto config = settings.write("config.toml", kj::str("[packagefsd]\nstore = \"", store.path(), "\"\n"));
  DaemonProcess daemon("daemons/packagefsd/packagefsd", {"packagefs-alice"_kj, "status-packagefsd"_kj},
                       {"--config"_kj, kj::StringPtr(config)});
  daemon.waitForLine("packagefsd: ready");
  auto io = kj::setupAsyncIo();
  auto& network = io.provider->getNetwork();
  CapReconnect alice(unixConnector(network, daemon.socketPath("packagefs-alice")));
  CapReconnect status(unixConnector(network, daemon.socketPath("status-packagefsd")));
  Client client{io.waitScope, alice.get<idl::Packagefs>()};
  CHECK(client.read(client.open()) == pk::Status::OK);
  kj::String data;
  CHECK(client.readFile(BUILD_PROP, data) == Status::OK);
  CHECK(client.newSession().open() == 1);
  // An exception inside the daemon is not the end of it.
  CHECK_THROWS(client.frame(kj::heapArray<kj::byte>(513)));
  std::filesystem::create_symlink("/etc/passwd", store.root / "system/1.0.0/passwd");
  CHECK(client.stat("pkg:/system/1.0.0/passwd") == Status::NOT_FOUND);
  auto snapshot = status.get<idl::Status>().snapshotRequest().send().wait(io.waitScope);
  CHECK(snapshot.getStatus().getHealth() == idl::DaemonStatus::Health::UP);
  daemon.terminate();
  CHECK(daemon.wait() == 0);
}

TEST_CASE("a store that is missing ends the start with its name and the remedy") {
  TemporaryFolder settings;
  auto config = settings.write("config.toml", "[packagefsd]\nstore = \"/nonexistent/store\"\n");
  DaemonProcess daemon("daemons/packagefsd/packagefsd", {"packagefs-alice"_kj}, {"--config"_kj, kj::StringPtr(config)});
  CHECK(daemon.wait() == 1);
  CHECK(daemon.output().find("/nonexistent/store") != std::string::npos);
  CHECK(daemon.output().find("set `store` in [packagefsd]") != std::string::npos);
}

}  // namespace
}  // namespace nexus
