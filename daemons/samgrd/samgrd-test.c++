#include "daemons/samgrd/samgrd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <unistd.h>

#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "libs/oslite-frames/service-id.h"

namespace nexus {
namespace {

using Status = idl::Samgr::Status;
using Bytes = kj::Array<kj::byte>;

// Two clients, each over a pipe of its own, as over their two sockets.
struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Samgrd samgrd;
  CapServer alice, bob;
  kj::Own<CapConnection> aliceConnection, bobConnection;

  explicit Fixture(const RegistryLimits& limits = {})
      : samgrd(io.provider->getTimer(), limits),
        alice([this](const PeerCredentials& peer) { return samgrd.connect("alice", peer); }),
        bob([this](const PeerCredentials& peer) { return samgrd.connect("bob", peer); }),
        aliceConnection(connectTo(alice)),
        bobConnection(connectTo(bob)) {}

  kj::Own<CapConnection> connectTo(CapServer& server) {
    auto pipe = io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    return kj::heap<CapConnection>(kj::mv(pipe.ends[1]));
  }

  idl::Samgr::Client asAlice() { return aliceConnection->bootstrap().castAs<idl::Samgr>(); }
  idl::Samgr::Client asBob() { return bobConnection->bootstrap().castAs<idl::Samgr>(); }

  Status registerName(idl::Samgr::Client client, kj::StringPtr name, uint32_t send = 1, uint32_t recv = 2) {
    auto request = client.registerRequest();
    request.setName(name);
    request.setSendSlot(send);
    request.setRecvSlot(recv);
    return request.send().wait(io.waitScope).getStatus();
  }

  Status lookup(idl::Samgr::Client client, kj::StringPtr name, uint32_t& send) {
    auto request = client.lookupRequest();
    request.setName(name);
    auto response = request.send().wait(io.waitScope);
    send = response.getSendSlot();
    return response.getStatus();
  }

  Status resolve(idl::Samgr::Client client, kj::StringPtr name) {
    auto request = client.resolveStatusRequest();
    request.setName(name);
    return request.send().wait(io.waitScope).getStatus();
  }

  Bytes frame(idl::Samgr::Client client, kj::ArrayPtr<const kj::byte> bytes) {
    auto request = client.osLiteRequest();
    request.setFrame(bytes);
    return kj::heapArray<kj::byte>(request.send().wait(io.waitScope).getReply());
  }

  sm::Reply reply(idl::Samgr::Client client, kj::Maybe<Bytes> bytes, sm::Op op) {
    return KJ_REQUIRE_NONNULL(sm::decodeReply(frame(client, KJ_REQUIRE_NONNULL(bytes)), op));
  }

  uint64_t counter(kj::StringPtr name) {
    auto response = samgrd.status().snapshotRequest().send().wait(io.waitScope);
    for (auto c : response.getStatus().getCounters()) {
      if (c.getName() == name) return c.getValue();
    }
    KJ_FAIL_REQUIRE("no such counter", name);
  }
};

TEST_CASE("register, lookup and resolve over the interface") {
  Fixture f;
  uint32_t send = 0;
  CHECK(f.lookup(f.asAlice(), "vfsd", send) == Status::NOT_FOUND);
  CHECK(f.registerName(f.asAlice(), "vfsd", 5, 6) == Status::OK);
  CHECK(f.lookup(f.asAlice(), "vfsd", send) == Status::OK);
  CHECK(send == 5);
  CHECK(f.resolve(f.asAlice(), "vfsd") == Status::OK);
  CHECK(f.resolve(f.asAlice(), "does.not.exist") == Status::NOT_FOUND);
}

TEST_CASE("a client neither sees nor overwrites what another registered; presence is for all") {
  Fixture f;
  uint32_t send = 0;
  f.registerName(f.asAlice(), "vfsd", 5, 6);
  CHECK(f.lookup(f.asBob(), "vfsd", send) == Status::NOT_FOUND);
  CHECK(send == 0);
  CHECK(f.resolve(f.asBob(), "vfsd") == Status::OK);
  f.registerName(f.asBob(), "vfsd", 77, 78);
  CHECK(f.lookup(f.asAlice(), "vfsd", send) == Status::OK);
  CHECK(send == 5);
}

TEST_CASE("a client keeps its scope over a new connection") {
  Fixture f;
  uint32_t send = 0;
  f.registerName(f.asAlice(), "vfsd", 5, 6);
  f.aliceConnection = f.connectTo(f.alice);
  CHECK(f.lookup(f.asAlice(), "vfsd", send) == Status::OK);
  CHECK(send == 5);
}

TEST_CASE("names of no or more than 48 bytes are malformed") {
  Fixture f;
  uint32_t send;
  auto longest = kj::str(kj::repeat('n', 48)), tooLong = kj::str(kj::repeat('n', 49));
  CHECK(f.registerName(f.asAlice(), longest) == Status::OK);
  for (kj::StringPtr bad : {""_kj, kj::StringPtr(tooLong)}) {
    CHECK(f.registerName(f.asAlice(), bad) == Status::MALFORMED);
    CHECK(f.lookup(f.asAlice(), bad, send) == Status::MALFORMED);
    CHECK(f.resolve(f.asAlice(), bad) == Status::MALFORMED);
  }
}

TEST_CASE("a full registry is OVERLOADED over the interface and UNSUPPORTED in a frame") {
  Fixture f({.total = 3, .perClient = 2});
  f.registerName(f.asAlice(), "one");
  f.registerName(f.asAlice(), "two");
  auto failure = kj::runCatchingExceptions([&] { f.registerName(f.asAlice(), "three"); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  CHECK(f.reply(f.asAlice(), sm::tryEncodeRegister("three"_kj, 1, 2), sm::Op::REGISTER).status ==
        sm::Status::UNSUPPORTED);
  CHECK(f.registerName(f.asBob(), "three") == Status::OK);
  CHECK_THROWS(f.registerName(f.asBob(), "four"));
  CHECK(f.registerName(f.asAlice(), "one", 9, 9) == Status::OK);
  CHECK(f.counter("samgr.namesRefused") == 3);
  CHECK(f.counter("samgr.namesNow") == 3);
}

TEST_CASE("REGISTER, LOOKUP and RESOLVE_STATUS frames act on the sender's scope") {
  Fixture f;
  CHECK(f.reply(f.asAlice(), sm::tryEncodeRegister("vfsd"_kj, 5, 6), sm::Op::REGISTER).status == sm::Status::OK);
  auto found = f.reply(f.asAlice(), sm::tryEncodeLookup("vfsd"_kj), sm::Op::LOOKUP);
  CHECK(found.status == sm::Status::OK);
  CHECK(found.sendSlot == 5);
  CHECK(found.recvSlot == 6);
  auto other = f.reply(f.asBob(), sm::tryEncodeLookup("vfsd"_kj), sm::Op::LOOKUP);
  CHECK(other.status == sm::Status::NOT_FOUND);
  CHECK((other.sendSlot | other.recvSlot) == 0);
  CHECK(f.reply(f.asAlice(), sm::tryEncodeLookup("does.not.exist"_kj), sm::Op::LOOKUP).status == sm::Status::NOT_FOUND);
}

TEST_CASE("RESOLVE_STATUS never returns slots, not even to the client that registered") {
  Fixture f;
  f.registerName(f.asAlice(), "vfsd", 5, 6);
  for (auto* connection : {f.aliceConnection.get(), f.bobConnection.get()}) {
    auto client = connection->bootstrap().castAs<idl::Samgr>();
    auto reply = f.reply(client, sm::tryEncodeResolveStatus("vfsd"_kj), sm::Op::RESOLVE_STATUS);
    CHECK(reply.status == sm::Status::OK);
    CHECK((reply.sendSlot | reply.recvSlot) == 0);
  }
  CHECK(f.reply(f.asBob(), sm::tryEncodeResolveStatus("other"_kj), sm::Op::RESOLVE_STATUS).status ==
        sm::Status::NOT_FOUND);
}

TEST_CASE("the interface and the frames act on the same registry") {
  Fixture f;
  uint32_t send;
  f.reply(f.asAlice(), sm::tryEncodeRegister("vfsd"_kj, 5, 6), sm::Op::REGISTER);
  CHECK(f.lookup(f.asAlice(), "vfsd", send) == Status::OK);
  CHECK(send == 5);
}

TEST_CASE("PING, SENDER_PID and SENDER_SERVICE_ID echo the nonce, and the id is that of the socket's client") {
  Fixture f;
  constexpr uint64_t NONCE = 0xfedcba9876543210;
  CHECK(f.frame(f.asAlice(), sm::encodePingCapMove(nullptr)) == "PONG"_kj.asBytes());
  CHECK(KJ_ASSERT_NONNULL(
            KJ_ASSERT_NONNULL(sm::decodePong(f.frame(f.asAlice(), sm::encodePingCapMove(NONCE)))).nonce) == NONCE);
  auto alice =
      KJ_ASSERT_NONNULL(sm::decodeSenderServiceIdReply(f.frame(f.asAlice(), sm::encodeSenderServiceId(NONCE))));
  CHECK(alice.id == oslite::serviceId("alice"_kj));
  CHECK(KJ_ASSERT_NONNULL(alice.nonce) == NONCE);
  auto bob = KJ_ASSERT_NONNULL(sm::decodeSenderServiceIdReply(f.frame(f.asBob(), sm::encodeSenderServiceId(nullptr))));
  CHECK(bob.id == oslite::serviceId("bob"_kj));
  CHECK(bob.nonce == nullptr);
  auto pid = KJ_ASSERT_NONNULL(sm::decodeSenderPidReply(f.frame(f.asAlice(), sm::encodeSenderPid(NONCE))));
  CHECK(KJ_ASSERT_NONNULL(pid.nonce) == NONCE);
}

TEST_CASE("frames with faults are answered and counted") {
  Fixture f;
  auto any = KJ_ASSERT_NONNULL(sm::decodeAnyReply(f.frame(f.asAlice(), "bad"_kj.asBytes())));
  CHECK(any.op == 0x82);
  CHECK(any.reply.status == sm::Status::MALFORMED);
  CHECK(f.frame(f.asAlice(), nullptr).size() == sm::REPLY_BYTES);
  kj::byte probe[] = {'S', 'M', 1, 0x7f, 0};
  CHECK(KJ_ASSERT_NONNULL(sm::decodeAnyReply(f.frame(f.asAlice(), probe))).reply.status == sm::Status::UNSUPPORTED);
  CHECK(f.counter("samgr.frames") == 3);
  CHECK(f.counter("samgr.frameFaults") == 3);
}

TEST_CASE("a frame of 512 bytes is looked at, a longer one fails the call") {
  Fixture f;
  auto longest = kj::heapArray<kj::byte>(512);
  memset(longest.begin(), 0, longest.size());
  CHECK(f.frame(f.asAlice(), longest).size() == sm::REPLY_BYTES);
  CHECK_THROWS(f.frame(f.asAlice(), kj::heapArray<kj::byte>(513)));
}

TEST_CASE("names of the configuration are present from the start, and belong to no client") {
  Fixture f;
  uint32_t send;
  f.samgrd.registerAtStart("bundlemgrd");
  CHECK(f.resolve(f.asAlice(), "bundlemgrd") == Status::OK);
  CHECK(f.lookup(f.asAlice(), "bundlemgrd", send) == Status::NOT_FOUND);
  CHECK_THROWS(f.samgrd.registerAtStart(""));
}

TEST_CASE("the daemon serves its clients under its system call list") {
  DaemonProcess daemon("daemons/samgrd/samgrd", {"samgr-alice"_kj, "samgr-bob"_kj, "status-samgrd"_kj}, nullptr);
  daemon.waitForLine("samgrd: ready");
  auto io = kj::setupAsyncIo();
  auto& network = io.provider->getNetwork();
  CapReconnect alice(unixConnector(network, daemon.socketPath("samgr-alice")));
  CapReconnect bob(unixConnector(network, daemon.socketPath("samgr-bob")));
  CapReconnect status(unixConnector(network, daemon.socketPath("status-samgrd")));
  auto request = alice.get<idl::Samgr>().registerRequest();
  request.setName("vfsd");
  CHECK(request.send().wait(io.waitScope).getStatus() == Status::OK);
  auto lookup = bob.get<idl::Samgr>().lookupRequest();
  lookup.setName("vfsd");
  CHECK(lookup.send().wait(io.waitScope).getStatus() == Status::NOT_FOUND);
  auto pid = alice.get<idl::Samgr>().osLiteRequest();
  pid.setFrame(sm::encodeSenderPid(nullptr));
  CHECK(KJ_ASSERT_NONNULL(sm::decodeSenderPidReply(pid.send().wait(io.waitScope).getReply())).pid ==
        uint32_t(getpid()));
  auto tooLong = alice.get<idl::Samgr>().osLiteRequest();
  tooLong.setFrame(kj::heapArray<kj::byte>(513));
  CHECK_THROWS(tooLong.send().wait(io.waitScope));  // an exception in the daemon is not the end of it
  auto snapshot = status.get<idl::Status>().snapshotRequest().send().wait(io.waitScope);
  CHECK(snapshot.getStatus().getDaemon() == "samgrd");
  CHECK(snapshot.getStatus().getHealth() == idl::DaemonStatus::Health::UP);
  daemon.terminate();
  CHECK(daemon.wait() == 0);
}

TEST_CASE("an export that is not samgrd's ends the start with a sentence that says which are") {
  DaemonProcess daemon("daemons/samgrd/samgrd", {"nic"_kj}, nullptr);
  CHECK(daemon.wait() == 2);
  CHECK(daemon.output().find("samgrd exports samgr-CLIENT and status-samgrd") != std::string::npos);
}

}  // namespace
}  // namespace nexus
