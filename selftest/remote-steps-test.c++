#include "selftest/remote-steps.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <map>
#include <string>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

// The peer's two services in memory, with faults that a test switches on.
struct Peer {
  std::map<std::string, std::string> values;
  bool keepsDeleted = false, otherValue = false, otherNonce = false, noReply = false;
  pk::Status packageStatus = pk::Status::OK;
  std::string file = RemoteSteps::PACKAGE_CONTENT.cStr();
  uint64_t statSize = RemoteSteps::PACKAGE_CONTENT.size();
  uint32_t open = 0, next = 1;
  bool keepsHandles = false;

  kj::Array<kj::byte> statefs(kj::ArrayPtr<const kj::byte> frame) {
    auto decoded = sf::decodeRequest(frame);
    auto& request = decoded.get<sf::Request>();
    auto nonce = otherNonce ? sf::Nonce(uint64_t(99)) : request.nonce;
    auto text = [](auto bytes) { return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size()); };
    KJ_SWITCH_ONEOF(request.body) {
      KJ_CASE_ONEOF(put, sf::Put) {
        values[text(put.key)] = otherValue ? "something else" : text(put.value);
        return sf::encodeStatusReply(sf::Op::PUT, nonce, sf::Status::OK);
      }
      KJ_CASE_ONEOF(get, sf::Get) {
        auto found = values.find(text(get.key));
        if (found == values.end()) return sf::encodeStatusReply(sf::Op::GET, nonce, sf::Status::NOT_FOUND);
        auto& value = found->second;
        return sf::encodeGetReply(nonce, kj::StringPtr(value.data(), value.size()).asBytes());
      }
      KJ_CASE_ONEOF(del, sf::Del) {
        if (!keepsDeleted) values.erase(text(del.key));
        return sf::encodeStatusReply(sf::Op::DEL, nonce, sf::Status::OK);
      }
      KJ_CASE_ONEOF(other, sf::List) break;
      KJ_CASE_ONEOF(other, sf::Sync) break;
      KJ_CASE_ONEOF(other, sf::Reopen) break;
    }
    KJ_FAIL_REQUIRE("the steps do not ask for that");
  }

  kj::Array<kj::byte> packagefs(kj::ArrayPtr<const kj::byte> frame) {
    auto decoded = pk::decodeRequest(true, frame);
    bool fine = packageStatus == pk::Status::OK;
    KJ_SWITCH_ONEOF(decoded) {
      KJ_CASE_ONEOF(stat, pk::Stat) {
        if (!fine) return pk::encodeStatus(pk::Op::STAT, packageStatus);
        return pk::encodeStatReply(statSize, pk::KIND_FILE);
      }
      KJ_CASE_ONEOF(o, pk::Open) {
        if (!fine) return pk::encodeStatus(pk::Op::OPEN, packageStatus);
        open = next++;
        return pk::encodeOpenReply(open);
      }
      KJ_CASE_ONEOF(read, pk::Read) {
        if (read.handle != open) return pk::encodeStatus(pk::Op::READ, pk::Status::BADF);
        return pk::encodeReadReply(kj::StringPtr(file.data(), file.size()).asBytes());
      }
      KJ_CASE_ONEOF(close, pk::Close) {
        if (close.handle != open) return pk::encodeStatus(pk::Op::CLOSE, pk::Status::BADF);
        if (!keepsHandles) open = 0;
        return pk::encodeStatus(pk::Op::CLOSE, pk::Status::OK);
      }
      KJ_CASE_ONEOF(fault, pk::Fault) break;
    }
    KJ_FAIL_REQUIRE("the steps send no such frame");
  }
};

struct Fixture {
  SimClock clock;
  Peer peer;
  RemoteSteps steps{[this](kj::StringPtr service, kj::Array<kj::byte> frame) -> kj::Promise<kj::Array<kj::byte>> {
    if (peer.noReply) return kj::heapArray<kj::byte>(2);
    if (service == "statefsd") return peer.statefs(frame);
    KJ_REQUIRE(service == "packagefsd");
    return peer.packagefs(frame);
  }};

  // Empty when the step passed.
  std::string failure(kj::Promise<void> (RemoteSteps::*step)()) {
    std::string text;
    auto exception = kj::runCatchingExceptions([&] { clock.run(kj::evalNow([&] { return (steps.*step)(); })); });
    KJ_IF_MAYBE (e, exception) text = kj::str(e->getDescription()).cStr();
    return text;
  }
  void flow() {
    CHECK(failure(&RemoteSteps::packageStat) == "");
    CHECK(failure(&RemoteSteps::packageOpen) == "");
    CHECK(failure(&RemoteSteps::packageRead) == "");
    CHECK(failure(&RemoteSteps::packageClose) == "");
  }
};

TEST_CASE("a peer with both services passes every step, twice") {
  Fixture f;
  for (int i = 0; i < 2; i++) {
    CHECK(f.failure(&RemoteSteps::statefs) == "");
    f.flow();
    CHECK(f.failure(&RemoteSteps::packageFlow) == "");
  }
  CHECK(f.peer.values.empty());
}

TEST_CASE("statefs: another value, another nonce, a value that survives its deletion, no reply at all") {
  Fixture f;
  f.peer.otherValue = true;
  CHECK(f.failure(&RemoteSteps::statefs) == "statefs: another value came back than was put");
  f.peer.otherValue = false;
  f.peer.otherNonce = true;
  CHECK(f.failure(&RemoteSteps::statefs) == "statefs: the reply answers another request");
  f.peer.otherNonce = false;
  f.peer.keepsDeleted = true;
  CHECK(f.failure(&RemoteSteps::statefs) == "get of what was deleted: statefs status 0, not 1");
  f.peer.noReply = true;
  CHECK(f.failure(&RemoteSteps::statefs) == "statefs: the reply is not one");
}

TEST_CASE("packagefs: a refusal is told with its status") {
  Fixture f;
  f.peer.packageStatus = pk::Status::NOT_FOUND;
  CHECK(f.failure(&RemoteSteps::packageStat) == "stat: packagefs status 5");
  CHECK(f.failure(&RemoteSteps::packageOpen) == "open: packagefs status 5");
  CHECK(f.failure(&RemoteSteps::packageRead) == "nothing was opened");
  CHECK(f.failure(&RemoteSteps::packageClose) == "nothing was opened");
  CHECK(f.failure(&RemoteSteps::packageFlow) == "stat, open, read and close did not all succeed");
}

TEST_CASE("packagefs: another size, another content, and a handle that outlives its close") {
  Fixture f;
  f.peer.statSize = 20;
  CHECK(f.failure(&RemoteSteps::packageStat) == "stat: kind 0 of 20 bytes, not a file of 19");
  f.peer.statSize = 19;
  f.peer.file = "ro.nexus.build=de\n";
  CHECK(f.failure(&RemoteSteps::packageOpen) == "");
  CHECK(f.failure(&RemoteSteps::packageRead) == "read: 18 bytes of a file of 19");
  f.peer.file = "ro.nexus.build=DEV\n";
  f.flow();
  CHECK(f.failure(&RemoteSteps::packageFlow) == "the content is not that of the file");
  f.peer.keepsHandles = true;
  CHECK(f.failure(&RemoteSteps::packageOpen) == "");
  CHECK(f.failure(&RemoteSteps::packageClose) == "a read of the closed handle: packagefs status 0, not 6");
}

}  // namespace
}  // namespace nexus
