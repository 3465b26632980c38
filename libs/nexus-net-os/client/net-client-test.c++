#include "libs/nexus-net-os/client/net-client.h"

#include <arpa/inet.h>
#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>
#include <kj/compat/http.h>
#include <kj/debug.h>
#include <netinet/in.h>

#include "idl/status.capnp.h"
#include "libs/nexus-net-os/client/client-datagram.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

SocketAddress at(kj::StringPtr text) {
  return KJ_ASSERT_NONNULL(SocketAddress::tryParse(text));
}

// Two nodes, and what an application on each of them holds.
struct Fixture {
  SimClock clock;
  SimNetwork network{clock.timer};
  kj::Maybe<NetClient> a, b;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a.emplace(network.manager("node-a"));
    b.emplace(network.manager("node-b"));
  }
  NetClient& onA() { return KJ_ASSERT_NONNULL(a); }
  NetClient& onB() { return KJ_ASSERT_NONNULL(b); }

  kj::Own<kj::AsyncIoStream> connect(kj::StringPtr text) {
    auto address = clock.run(onA().parseAddress(text));
    return clock.run(address->connect());
  }

  struct Ends {
    kj::Own<kj::AsyncIoStream> a, b;
  };
  Ends connection() {
    auto receiver = clock.run(onB().listen(at("*:7000")));
    auto a = connect("10.42.0.11:7000");
    return {kj::mv(a), clock.run(receiver->accept())};
  }
};

kj::Exception failureOf(SimClock& clock, kj::Promise<void> promise) {
  auto failure = kj::runCatchingExceptions([&] { clock.run(kj::mv(promise)); });
  KJ_IF_MAYBE (exception, failure) return kj::mv(*exception);
  FAIL("the call succeeded");
  KJ_UNREACHABLE;
}

bool says(const kj::Exception& exception, const char* part) {
  return strstr(exception.getDescription().cStr(), part) != nullptr;
}

kj::Array<kj::byte> pattern(size_t size) {
  auto data = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) data[i] = i * 31 + i / 253;
  return data;
}

class TestStatus final : public idl::Status::Server {
 public:
  kj::Promise<void> snapshot(SnapshotContext context) override {
    auto status = context.getResults().initStatus();
    status.setDaemon("far away");
    auto counters = status.initCounters(2000);  // several segments on the wire
    for (size_t i = 0; i < counters.size(); i++) counters[i].setValue(i);
    return kj::READY_NOW;
  }
};

TEST_CASE("Cap'n Proto two-party RPC runs over the stack unchanged") {
  Fixture f;
  auto receiver = f.clock.run(f.onB().listen(at("*:7000")));
  capnp::TwoPartyServer server(kj::heap<TestStatus>());
  auto listening = server.listen(*receiver).eagerlyEvaluate([](kj::Exception&& e) { FAIL(e.getDescription().cStr()); });
  auto stream = f.connect("10.42.0.11:7000");
  capnp::TwoPartyClient client(*stream);
  auto status = client.bootstrap().castAs<idl::Status>();
  for (int i = 0; i < 3; i++) {
    auto response = f.clock.run(status.snapshotRequest().send().dropPipeline());
    CHECK(response.getStatus().getDaemon() == "far away");
    CHECK(response.getStatus().getCounters()[1999].getValue() == 1999);
  }
  auto gone = client.onDisconnect();
  CHECK_FALSE(gone.poll(f.clock.waitScope));
  f.network.killConnections("node-b");
  f.clock.run(kj::mv(gone));
  CHECK(failureOf(f.clock, status.snapshotRequest().send().ignoreResult()).getType() ==
        kj::Exception::Type::DISCONNECTED);
}

class EchoService final : public kj::HttpService {
 public:
  explicit EchoService(kj::HttpHeaderTable& table) : table(table) {}

  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url, const kj::HttpHeaders& headers,
                            kj::AsyncInputStream& body, Response& response) override {
    auto text = kj::str(method, ' ', url, ' ');
    auto content = co_await body.readAllText();
    kj::HttpHeaders answer(table);
    auto out = response.send(200, "OK", answer, text.size() + content.size());
    co_await out->write(text.begin(), text.size());
    co_await out->write(content.begin(), content.size());
  }

 private:
  kj::HttpHeaderTable& table;
};

TEST_CASE("a kj-http request with a body runs over the stack unchanged") {
  Fixture f;
  kj::HttpHeaderTable table;
  EchoService service(table);
  kj::HttpServer server(f.clock.timer, table, service);
  auto address = f.clock.run(f.onB().parseAddress("*", 80));
  auto receiver = address->listen();
  auto listening =
      server.listenHttp(*receiver).eagerlyEvaluate([](kj::Exception&& e) { FAIL(e.getDescription().cStr()); });

  auto client = kj::newHttpClient(f.clock.timer, table, f.onA(), nullptr);
  for (size_t size : {size_t(0), size_t(5), size_t(200000)}) {
    auto data = pattern(size);
    for (auto& b : data) b = 'a' + b % 26;
    auto request =
        client->request(kj::HttpMethod::POST, "http://10.42.0.11:80/echo", kj::HttpHeaders(table), data.size());
    f.clock.run(request.body->write(data.begin(), data.size()).attach(kj::mv(request.body)));
    auto response = f.clock.run(kj::mv(request.response));
    CHECK(response.statusCode == 200);
    auto text = f.clock.run(response.body->readAllText());
    CHECK(text == kj::str("POST /echo ", data.asChars()));
  }
}

TEST_CASE("writes of many sizes and pieces arrive whole and in order, and shutdownWrite is the end of file") {
  Fixture f;
  auto ends = f.connection();
  auto data = pattern(500000);
  kj::ArrayPtr<const kj::byte> pieces[] = {data.slice(0, 1), data.slice(1, 1), data.slice(1, 65537),
                                           data.slice(65537, 300000), data.slice(300000, data.size())};
  auto writing = ends.a->write(kj::arrayPtr(pieces, 5)).then([&] { ends.a->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  auto got = f.clock.run(ends.b->readAllBytes());
  CHECK(got == data);
  f.clock.run(kj::mv(writing));
  f.clock.run(ends.b->write("still open", 10));
  char answer[10];
  f.clock.run(ends.a->read(answer, 10));
  CHECK(kj::StringPtr(answer, 10).size() == 10);
  CHECK(kj::heapString(answer, 10) == "still open");
}

TEST_CASE("a cancelled read loses nothing, even when the data is already on its way to it") {
  Fixture f;
  auto ends = f.connection();
  char buffer[8] = {};
  for (int round = 0; round < 3; round++) {
    {
      auto cancelled = ends.b->tryRead(buffer, 1, 8);
      CHECK_FALSE(cancelled.poll(f.clock.waitScope));
      f.clock.run(ends.a->write("kept", 4));
      if (round == 1) f.clock.timer.advanceTo(f.clock.timer.now() + kj::SECONDS);  // arrived, not yet seen
      if (round == 2) f.clock.advance(kj::SECONDS);  // the read is done but nobody took it
    }
    if (round == 2) break;  // what was put into the caller's buffer is the caller's
    CHECK(f.clock.run(ends.b->tryRead(buffer, 4, 8)) == 4);
    CHECK(kj::heapString(buffer, 4) == "kept");
  }
}

TEST_CASE("a cancelled accept leaves the connection to the next one") {
  Fixture f;
  auto receiver = f.clock.run(f.onB().listen(at("*:7000")));
  {
    auto cancelled = receiver->accept();
    CHECK_FALSE(cancelled.poll(f.clock.waitScope));
  }
  {
    auto early = f.connect("10.42.0.11:7000");
    f.clock.run(early->write("early", 5));
  }
  auto stream = f.clock.run(receiver->accept());
  CHECK(f.clock.run(stream->readAllText()) == "early");
}

TEST_CASE("an accept that fails because the client holds too much works again once it holds less") {
  SimClock clock;
  SimNetwork::Options options;
  options.limits.tcpSockets = 1;
  SimNetwork network(clock.timer, options);
  network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
  NetClient server(network.manager("node-a")), one(network.manager("node-a")), two(network.manager("node-a"));
  auto receiver = clock.run(server.listen(at("*:7000")));
  auto first = clock.run(one.address(at("10.42.0.10:7000"))->connect());
  auto second = clock.run(two.address(at("10.42.0.10:7000"))->connect());
  auto held = clock.run(receiver->accept());
  CHECK(failureOf(clock, receiver->accept().ignoreResult()).getType() == kj::Exception::Type::OVERLOADED);
  held = nullptr;
  clock.advance(kj::SECONDS);
  held = clock.run(receiver->accept());
  clock.run(second->write("second", 6));
  second = nullptr;
  CHECK(clock.run(held->readAllText()) == "second");
}

TEST_CASE("datagrams keep their boundaries and carry where they came from") {
  Fixture f;
  auto a = f.clock.run(f.onA().bindDatagramPort(at("*:37020")));
  auto b = f.clock.run(f.onB().bindDatagramPort(at("*:0")));
  CHECK(a->getPort() == 37020);
  auto toA = f.onB().address(at("10.42.0.10:37020"));
  CHECK(f.clock.run(b->send("one", 3, *toA)) == 3);
  CHECK(f.clock.run(b->send("longer", 6, *toA)) == 6);
  auto receiver = a->makeReceiver(kj::DatagramReceiver::Capacity{.content = 4});
  f.clock.run(receiver->receive());
  CHECK(kj::heapString(receiver->getContent().value.asChars()) == "one");
  CHECK_FALSE(receiver->getContent().isTruncated);
  CHECK(receiver->getSource().toString() == kj::str("10.42.0.11:", b->getPort()));
  f.clock.run(receiver->receive());
  CHECK(kj::heapString(receiver->getContent().value.asChars()) == "long");
  CHECK(receiver->getContent().isTruncated);
  // The source is an address that can be answered.
  f.clock.run(a->send("back", 4, receiver->getSource()));
  auto answer = b->makeReceiver();
  f.clock.run(answer->receive());
  CHECK(kj::heapString(answer->getContent().value.asChars()) == "back");
}

TEST_CASE("a cancelled receive leaves the datagram to the next one") {
  Fixture f;
  auto a = f.clock.run(f.onA().bindDatagramPort(at("*:1")));
  auto receiver = a->makeReceiver();
  {
    auto cancelled = receiver->receive();
    CHECK_FALSE(cancelled.poll(f.clock.waitScope));
  }
  auto b = f.clock.run(f.onB().bindDatagramPort(at("*:2")));
  f.clock.run(b->send("kept", 4, *f.onB().address(at("10.42.0.10:1"))));
  f.clock.advance(kj::SECONDS);
  f.clock.run(receiver->receive());
  CHECK(kj::heapString(receiver->getContent().value.asChars()) == "kept");
}

TEST_CASE("outcomes become exceptions that name what was tried") {
  Fixture f;
  auto refused = failureOf(f.clock, f.onA().address(at("10.42.0.11:1"))->connect().ignoreResult());
  CHECK(refused.getType() == kj::Exception::Type::DISCONNECTED);
  CHECK(says(refused, "connect to 10.42.0.11:1: refused"));

  NetClient nothing(f.network.manager("node-a", NetPolicy()));
  auto denied = failureOf(f.clock, nothing.address(at("10.42.0.11:1"))->connect().ignoreResult());
  CHECK(denied.getType() == kj::Exception::Type::FAILED);
  CHECK(says(denied, "denied"));
  CHECK(says(failureOf(f.clock, nothing.listen(at("*:1")).ignoreResult()), "listen on *:1: denied"));
  CHECK(says(failureOf(f.clock, nothing.bindDatagramPort(at("*:1")).ignoreResult()), "bind UDP *:1: denied"));

  // The synchronous forms have no other place to say it than the first call that waits.
  auto receiver = nothing.address(at("*:1"))->listen();
  CHECK(says(failureOf(f.clock, receiver->accept().ignoreResult()), "denied"));
  auto port = nothing.address(at("*:1"))->bindDatagramPort();
  CHECK(says(failureOf(f.clock, port->makeReceiver()->receive()), "denied"));
}

TEST_CASE("a reset connection fails reads and writes and tells whoever waits for it") {
  Fixture f;
  auto ends = f.connection();
  auto gone = ends.a->whenWriteDisconnected();
  CHECK_FALSE(gone.poll(f.clock.waitScope));
  f.network.killConnections("node-a");
  char buffer[1];
  CHECK(failureOf(f.clock, ends.a->tryRead(buffer, 1, 1).ignoreResult()).getType() ==
        kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf(f.clock, ends.a->write("x", 1)).getType() == kj::Exception::Type::DISCONNECTED);
  f.clock.run(kj::mv(gone));
}

TEST_CASE("addresses are numbers, from text or from a sockaddr; anything else is told how to write it") {
  Fixture f;
  CHECK(f.clock.run(f.onA().parseAddress("10.0.2.2:53"))->toString() == "10.0.2.2:53");
  CHECK(f.clock.run(f.onA().parseAddress("10.0.2.2", 53))->toString() == "10.0.2.2:53");
  CHECK(f.clock.run(f.onA().parseAddress("[fd00::1]:53"))->toString() == "[fd00::1]:53");
  CHECK(f.clock.run(f.onA().parseAddress("*:80"))->clone()->toString() == "*:80");
  CHECK_THROWS_AS(f.onA().parseAddress("10.0.2.2"), kj::Exception);
  CHECK_THROWS_AS(f.onA().parseAddress("10.0.2.2", 65536), kj::Exception);
  CHECK_THROWS_WITH_AS(f.onA().parseAddress("example.com:80"), doctest::Contains("names are not resolved"),
                       kj::Exception);

  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(53);
  in.sin_addr.s_addr = htonl(0x0a000202);
  CHECK(f.onA().getSockaddr(&in, sizeof(in))->toString() == "10.0.2.2:53");
  CHECK_THROWS_AS(f.onA().getSockaddr(&in, sizeof(in) - 1), kj::Exception);
  in.sin_family = AF_UNIX;
  CHECK_THROWS_AS(f.onA().getSockaddr(&in, sizeof(in)), kj::Exception);
}

}  // namespace
}  // namespace nexus
