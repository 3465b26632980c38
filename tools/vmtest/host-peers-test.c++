#include "tools/vmtest/host-peers.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <random>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "tools/vmtest/dns-answer.h"

namespace nexus::vmtest {
namespace {

kj::Array<kj::byte> query(kj::StringPtr name, kj::uint type = 1) {
  kj::Vector<kj::byte> out;
  for (kj::uint b : {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0}) out.add(kj::byte(b));
  size_t begin = 0;
  for (size_t i = 0; i <= name.size(); i++) {
    if (i < name.size() && name[i] != '.') continue;
    out.add(kj::byte(i - begin));
    out.addAll(name.asBytes().slice(begin, i));
    begin = i + 1;
  }
  for (kj::uint b : {0u, 0u, type, 0u, 1u}) out.add(kj::byte(b));
  return out.releaseAsArray();
}

TEST_CASE("the known name has its address, whatever its case") {
  for (auto name : {"peer.nexus.test"_kj, "PEER.Nexus.TEST"_kj}) {
    auto question = query(name);
    auto reply = KJ_ASSERT_NONNULL(answerDns(question));
    CHECK(reply[0] == 0x12);
    CHECK(reply[2] == 0x85);  // response, authoritative, recursion desired
    CHECK(reply[3] == 0);
    CHECK(reply[7] == 1);
    CHECK(reply.slice(12, question.size()) == question.slice(12, question.size()));
    CHECK(reply.slice(reply.size() - 4, reply.size()) == kj::arrayPtr(HOST_PEER_ADDRESS, 4));
  }
}

TEST_CASE("another name does not exist, and another type of the known name has no record") {
  auto other = KJ_ASSERT_NONNULL(answerDns(query("example.com")));
  CHECK((other[3] & 15) == 3);
  CHECK(other[7] == 0);
  auto aaaa = KJ_ASSERT_NONNULL(answerDns(query("peer.nexus.test", 28)));
  CHECK((aaaa[3] & 15) == 0);
  CHECK(aaaa[7] == 0);
}

TEST_CASE("what is no query is met with silence") {
  auto good = query("peer.nexus.test");
  for (size_t n = 0; n < good.size(); n++) CHECK(answerDns(good.slice(0, n)) == nullptr);
  auto with = [&](size_t at, kj::byte value) {
    auto bytes = kj::heapArray(good.asPtr());
    bytes[at] = value;
    return bytes;
  };
  CHECK(answerDns(with(2, 0x81)) == nullptr);   // a response
  CHECK(answerDns(with(2, 0x10)) == nullptr);   // another opcode
  CHECK(answerDns(with(5, 2)) == nullptr);      // two questions
  CHECK(answerDns(with(12, 0xc0)) == nullptr);  // a compressed name
  CHECK(answerDns(with(good.size() - 1, 3)) == nullptr);
  CHECK(answerDns(kj::heapArray<kj::byte>(513)) == nullptr);
  std::mt19937 random(20261120);
  for (int i = 0; i < 20000; i++) {
    auto bytes = kj::heapArray(good.asPtr());
    for (int n = 0; n < 3; n++) bytes[random() % bytes.size()] = kj::byte(random());
    KJ_IF_MAYBE (reply, answerDns(bytes.slice(0, random() % (bytes.size() + 1))))
      CHECK(reply->size() <= bytes.size() + 16);
  }
}

// Over loopback, on ports the system chooses.
struct Served {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::Own<HostPeers> peers = HostPeers::start(io.provider->getNetwork(), io.provider->getTimer()).wait(io.waitScope);

  kj::Own<kj::AsyncIoStream> connect() {
    auto address = io.provider->getNetwork().parseAddress("127.0.0.1", peers->tcpPort()).wait(io.waitScope);
    return address->connect().wait(io.waitScope);
  }
  kj::String converse(kj::StringPtr head, kj::ArrayPtr<const kj::byte> body) {
    auto stream = connect();
    stream->write(head.begin(), head.size()).wait(io.waitScope);
    stream->write(body.begin(), body.size()).wait(io.waitScope);
    stream->shutdownWrite();
    return stream->readAllText().wait(io.waitScope);
  }
};

TEST_CASE("a DNS query over the wire gets its answer") {
  Served served;
  auto& network = served.io.provider->getNetwork();
  auto address = network.parseAddress("127.0.0.1", served.peers->dnsPort()).wait(served.io.waitScope);
  auto port = network.parseAddress("127.0.0.1", 0).wait(served.io.waitScope)->bindDatagramPort();
  auto question = query("peer.nexus.test");
  port->send(question.begin(), question.size(), *address).wait(served.io.waitScope);
  auto receiver = port->makeReceiver();
  receiver->receive().wait(served.io.waitScope);
  CHECK(receiver->getContent().value == KJ_ASSERT_NONNULL(answerDns(question)).asPtr());
  CHECK(served.peers->answered() == 1);
}

TEST_CASE("echo, sink and source do what the protocol says") {
  Served served;
  CHECK(served.converse("echo\n", "hello"_kj.asBytes()) == "hello");
  auto bytes = kj::heapArray<kj::byte>(200000);
  fillHostPeerPattern(0, bytes);
  CHECK(served.converse("sink 200000\n", bytes) ==
        kj::str(hostPeerSinkAnswer(200000, hostPeerPatternChecksum(200000)), '\n'));
  auto got = served.converse("source 100000\n", nullptr);
  REQUIRE(got.size() == 100000);
  CHECK(got.asBytes() == bytes.slice(0, 100000));
}

TEST_CASE("a sink whose client stops early tells how much it got") {
  Served served;
  kj::byte three[3];
  fillHostPeerPattern(0, three);
  CHECK(served.converse("sink 10\n", three) == kj::str(hostPeerSinkAnswer(3, hostPeerPatternChecksum(3)), '\n'));
}

TEST_CASE("what is no request gets an error, also when the line has no end") {
  Served served;
  CHECK(served.converse("shutdown\n", nullptr) == "error not a request\n");
  CHECK(served.converse(kj::str(kj::repeat('x', HOST_PEER_LINE_MAX)), nullptr) == "error not a request\n");
}

TEST_CASE("connections at the limit are served and one more is closed at once") {
  Served served;
  kj::Vector<kj::Own<kj::AsyncIoStream>> open;
  kj::byte b = 'x';
  for (kj::uint i = 0; i < HostPeers::CONNECTIONS_MAX; i++) {
    auto stream = served.connect();
    stream->write("echo\nx", 6).wait(served.io.waitScope);
    REQUIRE(stream->tryRead(&b, 1, 1).wait(served.io.waitScope) == 1);
    open.add(kj::mv(stream));
  }
  auto extra = served.connect();
  CHECK(extra->tryRead(&b, 1, 1).wait(served.io.waitScope) == 0);
  CHECK(served.peers->refused() == 1);
}

}  // namespace
}  // namespace nexus::vmtest
