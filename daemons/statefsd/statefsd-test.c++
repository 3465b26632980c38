#include "daemons/statefsd/statefsd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <unistd.h>

#include <fstream>

#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;
using Status = idl::Statefs::Status;

// The calls of a client, whatever its capability runs over.
struct Client {
  kj::WaitScope& waitScope;
  idl::Statefs::Client statefs;

  Bytes raw(kj::ArrayPtr<const kj::byte> frame, uint32_t maxReplyBytes = 65553) {
    auto request = statefs.osLiteRequest();
    request.setFrame(frame);
    request.setMaxReplyBytes(maxReplyBytes);
    return kj::heapArray<kj::byte>(request.send().wait(waitScope).getReply());
  }
  template <typename Body>
  Bytes frame(Body body, sf::Nonce nonce = nullptr) {
    return raw(KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nonce, body})));
  }
  template <typename Body>
  sf::Status status(sf::Op op, Body body, sf::Nonce nonce = nullptr) {
    auto reply = frame(body, nonce);
    auto decoded = KJ_ASSERT_NONNULL(sf::decodeReply(op, reply));
    CHECK(sf::correlates(nonce, decoded));
    return decoded.status;
  }
  Status put(kj::StringPtr key, kj::StringPtr value) {
    auto request = statefs.putRequest();
    request.setKey(key);
    request.setValue(value.asBytes());
    return request.send().wait(waitScope).getStatus();
  }
  Status get(kj::StringPtr key, kj::String& out) {
    auto request = statefs.getRequest();
    request.setKey(key);
    auto response = request.send().wait(waitScope);
    out = kj::heapString(response.getValue().asChars());
    return response.getStatus();
  }
  Status del(kj::StringPtr key) {
    auto request = statefs.deleteRequest();
    request.setKey(key);
    return request.send().wait(waitScope).getStatus();
  }
  size_t list(kj::StringPtr prefix, uint16_t limit) {
    auto request = statefs.listRequest();
    request.setPrefix(prefix);
    request.setLimit(limit);
    return request.send().wait(waitScope).getKeys().size();
  }
};

struct Fixture {
  TemporaryFolder folder;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Statefsd statefsd{StateStore(folder.root.c_str()), io.provider->getTimer()};
  Client client{io.waitScope, statefsd.connect()};

  idl::DaemonStatus::Health health() {
    return statefsd.status().snapshotRequest().send().wait(io.waitScope).getStatus().getHealth();
  }
};

constexpr auto KEY = "/state/a"_kj;

TEST_CASE("the methods put, get, list, delete and sync") {
  Fixture f;
  kj::String value;
  CHECK(f.client.put(KEY, "one") == Status::OK);
  CHECK(f.client.get(KEY, value) == Status::OK);
  CHECK(value == "one");
  CHECK(f.client.list("/state/", 0) == 1);
  CHECK(f.client.statefs.syncRequest().send().wait(f.io.waitScope).getStatus() == Status::OK);
  CHECK(f.client.del(KEY) == Status::OK);
  CHECK(f.client.get(KEY, value) == Status::NOT_FOUND);
  CHECK(f.client.put("/etc/a", "x") == Status::INVALID_KEY);
}

TEST_CASE("frames of both versions do the same, and a reply echoes the nonce of its request") {
  Fixture f;
  kj::byte value[] = {1, 2};
  for (sf::Nonce nonce : {sf::Nonce(nullptr), sf::Nonce(uint64_t(7)), sf::Nonce(~uint64_t(0))}) {
    CHECK(f.client.status(sf::Op::GET, sf::Get{KEY}, nonce) == sf::Status::NOT_FOUND);
    CHECK(f.client.status(sf::Op::PUT, sf::Put{KEY, value}, nonce) == sf::Status::OK);
    auto reply = f.client.frame(sf::Get{KEY}, nonce);
    CHECK(KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::GET, reply)).value == kj::arrayPtr(value, 2));
    auto listing = f.client.frame(sf::List{"/state/"_kj, 9}, nonce);
    CHECK(KJ_ASSERT_NONNULL(sf::decodeReply(sf::Op::LIST, listing)).keys.size() == 1);
    CHECK(f.client.status(sf::Op::SYNC, sf::Sync{}, nonce) == sf::Status::OK);
    CHECK(f.client.status(sf::Op::REOPEN, sf::Reopen{}, nonce) == sf::Status::OK);
    CHECK(f.client.status(sf::Op::DEL, sf::Del{KEY}, nonce) == sf::Status::OK);
    CHECK(f.client.status(sf::Op::DEL, sf::Del{KEY}, nonce) == sf::Status::NOT_FOUND);
    CHECK(f.client.status(sf::Op::PUT, sf::Put{"/x"_kj, value}, nonce) == sf::Status::INVALID_KEY);
  }
  CHECK(f.health() == idl::DaemonStatus::Health::UP);
}

TEST_CASE("frames with faults are answered by their status and counted") {
  Fixture f;
  CHECK(f.client.raw("bad"_kj.asBytes()) == kj::heapArray<kj::byte>({'S', 'F', 1, 0x80, 6}));
  kj::byte transaction[] = {'S', 'F', 1, 7};
  CHECK(f.client.raw(transaction) == kj::heapArray<kj::byte>({'S', 'F', 1, 0x87, 8}));
  kj::byte emptyKey[] = {'S', 'F', 1, 2, 0, 0};
  CHECK(f.client.raw(emptyKey) == kj::heapArray<kj::byte>({'S', 'F', 1, 0x82, 6}));
  CHECK(f.statefsd.counters.faults == 3);
}

TEST_CASE("the largest frame is taken, a longer one fails the call, a LIST keeps to the room for its reply") {
  Fixture f;
  auto value = kj::heapArray<kj::byte>(65536);
  memset(value.begin(), 7, value.size());
  auto longest = kj::str("/state/", kj::repeat('k', 248));
  CHECK(f.client.status(sf::Op::PUT, sf::Put{longest, value}, uint64_t(1)) == sf::Status::OK);
  CHECK(f.client.status(sf::Op::GET, sf::Get{longest}, uint64_t(2)) == sf::Status::OK);
  CHECK_THROWS(f.client.raw(kj::heapArray<kj::byte>(sf::MAX_REQUEST_BYTES + 1)));
  auto list = KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::List{"/state/"_kj, 64}}));
  CHECK(f.client.raw(list, 7 + 2 + 255).size() == 7 + 2 + 255);
  CHECK(f.client.raw(list, 7 + 2 + 254).size() == 7);
  CHECK_THROWS(f.client.raw(list, 6));
}

TEST_CASE("a damaged record and a disk that refuses make the daemon degraded, not silent") {
  Fixture f;
  CHECK(f.client.put(KEY, "one") == Status::OK);
  for (auto& file : std::filesystem::directory_iterator(f.folder.root)) std::filesystem::resize_file(file, 3);
  kj::String value;
  CHECK(f.client.get(KEY, value) == Status::INTEGRITY_VIOLATION);
  CHECK(f.statefsd.counters.integrityViolations == 1);
  CHECK(f.health() == idl::DaemonStatus::Health::DEGRADED);
}

TEST_CASE("the daemon keeps values over a restart, under its system call list") {
  TemporaryFolder folder;
  TemporaryFolder settings;
  auto config = settings.write("config.toml", kj::str("[statefsd]\nfolder = \"", folder.path(), "\"\n"));
  auto io = kj::setupAsyncIo();
  auto& network = io.provider->getNetwork();
  kj::String value;
  for (int round = 0; round < 2; round++) {
    DaemonProcess daemon("daemons/statefsd/statefsd", {"statefs-alice"_kj, "status-statefsd"_kj},
                         {"--config"_kj, kj::StringPtr(config)});
    daemon.waitForLine("statefsd: ready");
    CapReconnect alice(unixConnector(network, daemon.socketPath("statefs-alice")));
    CapReconnect status(unixConnector(network, daemon.socketPath("status-statefsd")));
    Client client{io.waitScope, alice.get<idl::Statefs>()};
    if (round == 0) {
      CHECK(client.put(KEY, "kept") == Status::OK);
      CHECK(client.put("/state/b", "gone") == Status::OK);
      CHECK(client.del("/state/b") == Status::OK);
    }
    CHECK(client.get(KEY, value) == Status::OK);
    CHECK(value == "kept");
    CHECK(client.list("", 9) == 1);
    CHECK(client.status(sf::Op::REOPEN, sf::Reopen{}) == sf::Status::OK);
    CHECK(client.status(sf::Op::SYNC, sf::Sync{}) == sf::Status::OK);
    CHECK_THROWS(client.raw(kj::heapArray<kj::byte>(sf::MAX_REQUEST_BYTES + 1)));
    auto snapshot = status.get<idl::Status>().snapshotRequest().send().wait(io.waitScope);
    CHECK(snapshot.getStatus().getHealth() == idl::DaemonStatus::Health::UP);
    daemon.terminate();
    CHECK(daemon.wait() == 0);
  }
}

TEST_CASE("a folder that is missing ends the start with its name and the remedy") {
  TemporaryFolder settings;
  auto config = settings.write("config.toml", "[statefsd]\nfolder = \"/nonexistent/state\"\n");
  DaemonProcess daemon("daemons/statefsd/statefsd", {"statefs-alice"_kj}, {"--config"_kj, kj::StringPtr(config)});
  CHECK(daemon.wait() == 1);
  CHECK(daemon.output().find("/nonexistent/state") != std::string::npos);
  CHECK(daemon.output().find("set `folder` in [statefsd]") != std::string::npos);
}

}  // namespace
}  // namespace nexus
