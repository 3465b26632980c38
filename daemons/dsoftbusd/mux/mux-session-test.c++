// Streams over whole sessions: handshake, encrypted records, two ends that run at once, and the network in memory below
// them. What a single end does is tested beside it (mux-test, mux-core-test).
#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>
#include <kj/compat/http.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"
#include "daemons/dsoftbusd/session/handshake.h"
#include "idl/samgr.capnp.h"

namespace nexus {
namespace {

class OpenDoor final : public RequestHandler {
 public:
  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte> frame) override {
    return RemoteReply{CallStatus::OK, 1, kj::heapArray(frame)};
  }
  MuxAdmission admitStream(kj::StringPtr) override { return {true, 0}; }
};

// Two sessions on a pipe that keeps no byte: a write is done when the other end has read it.
struct Pair {
  SimClock sim;
  FixedEntropy entropy{3};
  DeviceIdentity client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  OpenDoor handler;
  kj::Own<Session> a, b;
  kj::String whyA, whyB;
  kj::Promise<void> runningA = nullptr, runningB = nullptr;

  Pair() {
    auto pipe = kj::newTwoWayPipe();
    auto responding = respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
    auto initiated = sim.run(
        initiateHandshake(kj::mv(pipe.ends[0]), client, ExpectedPeer::of(server.publicIdentity()), sim.timer, entropy));
    a = session(kj::mv(initiated.get<HandshakeDone>().channel), MuxRole::INITIATOR);
    b = session(sim.run(kj::mv(responding)).get<HandshakeDone>().channel, MuxRole::RESPONDER);
    runningA = a->run().then([this](SessionEnd&& end) { whyA = kj::mv(end.why); }).eagerlyEvaluate(nullptr);
    runningB = b->run().then([this](SessionEnd&& end) { whyB = kj::mv(end.why); }).eagerlyEvaluate(nullptr);
    sim.settle();
    KJ_ASSERT(a->isLive() && b->isLive());
  }

  kj::Own<Session> session(kj::Own<RecordChannel> channel, MuxRole role) {
    return kj::refcounted<Session>(kj::mv(channel), role, static_cast<RequestHandler&>(handler), sim.timer, [] {});
  }
};

kj::Own<MuxStream> openOn(Session& session, kj::StringPtr name, kj::byte priority = 4) {
  auto opened = session.mux().open(name, priority);
  KJ_ASSERT(opened.is<kj::Own<MuxStream>>());
  return kj::mv(opened.get<kj::Own<MuxStream>>());
}

kj::byte patternAt(uint64_t seed, uint64_t at) {
  return static_cast<kj::byte>((at * 31 + at / 251) ^ seed * 7);
}

// Writes `size` bytes of the pattern in pieces of any size, then the end.
kj::Promise<void> writePattern(kj::AsyncIoStream& stream, uint64_t seed, uint64_t size) {
  FixedEntropy random(seed);
  auto piece = kj::heapArray<kj::byte>(100000);
  for (uint64_t at = 0; at < size;) {
    size_t n = kj::min(size - at, 1 + random.next() % piece.size());
    for (size_t i = 0; i < n; i++) piece[i] = patternAt(seed, at + i);
    co_await stream.write(piece.begin(), n);
    at += n;
  }
  stream.shutdownWrite();
}

// Reads to the end; FAILED at the first byte that is not the pattern's.
kj::Promise<uint64_t> readPattern(kj::AsyncIoStream& stream, uint64_t seed) {
  FixedEntropy random(seed + 1);
  auto piece = kj::heapArray<kj::byte>(100000);
  for (uint64_t at = 0;;) {
    size_t n = co_await stream.tryRead(piece.begin(), 1, 1 + random.next() % piece.size());
    if (n == 0) co_return at;
    for (size_t i = 0; i < n; i++) {
      KJ_ASSERT(piece[i] == patternAt(seed, at + i), at + i);
    }
    at += n;
  }
}

TEST_CASE("bulk in both directions at once arrives whole, while calls and pings go on") {
  constexpr uint64_t SIZE = 4 << 20;
  Pair p;
  auto mine = openOn(*p.a, "bulk");
  auto theirs = p.sim.run(p.b->mux().accept());
  auto writingA = writePattern(*mine, 1, SIZE).eagerlyEvaluate(nullptr);
  auto writingB = writePattern(*theirs, 2, SIZE).eagerlyEvaluate(nullptr);
  auto readingA = readPattern(*mine, 2).eagerlyEvaluate(nullptr);
  auto readingB = readPattern(*theirs, 1).eagerlyEvaluate(nullptr);
  for (int i = 0; i < 20; i++) {
    CHECK(p.sim.run(p.a->ping("x"_kj.asBytes())).size() == 1);
    CHECK(p.sim.run(p.b->call("samgrd"_kj.asArray(), "y"_kj.asBytes())).reply.size() == 1);
  }
  CHECK(p.sim.run(kj::mv(readingA)) == SIZE);
  CHECK(p.sim.run(kj::mv(readingB)) == SIZE);
  p.sim.run(kj::mv(writingA));
  p.sim.run(kj::mv(writingB));
}

TEST_CASE("a stream that nobody reads is no silence: the session lives on by its pings, and nothing of it is lost") {
  constexpr uint64_t SIZE = 1 << 20;
  Pair p;
  auto mine = openOn(*p.a, "bulk");
  auto theirs = p.sim.run(p.b->mux().accept());
  bool written = false;
  auto writing = writePattern(*mine, 1, SIZE).then([&] { written = true; }).eagerlyEvaluate(nullptr);
  p.sim.advance(60 * kj::SECONDS);
  CHECK(!written);  // full all the time
  CHECK(p.a->isLive());
  CHECK(p.b->isLive());
  CHECK(p.sim.run(readPattern(*theirs, 1)) == SIZE);
  CHECK(written);
}

TEST_CASE("a link that carries bulk and nothing else for long is alive, and one that stops in the middle is not") {
  Pair p;
  auto mine = openOn(*p.a, "bulk");
  auto theirs = p.sim.run(p.b->mux().accept());
  auto writing = writePattern(*mine, 1, 64 << 20).eagerlyEvaluate([](kj::Exception&&) {});
  auto space = kj::heapArray<kj::byte>(300000);
  for (int second = 0; second < 30; second++) {
    p.sim.run(theirs->read(space.begin(), space.size()));  // slower than it is written
    p.sim.advance(1 * kj::SECONDS);
    REQUIRE(p.a->isLive());
    REQUIRE(p.b->isLive());
  }
  p.runningB = nullptr;  // says and reads nothing any more
  p.sim.advance(9 * kj::SECONDS);
  CHECK(p.a->hasEnded());
}

TEST_CASE("two ends that both have all their questions and much data to send do not hold each other up") {
  Pair p;
  auto mine = openOn(*p.a, "bulk");
  auto theirs = p.sim.run(p.b->mux().accept());
  auto writingA = writePattern(*mine, 1, 1 << 20).eagerlyEvaluate(nullptr);
  auto writingB = writePattern(*theirs, 2, 1 << 20).eagerlyEvaluate(nullptr);
  auto readingA = readPattern(*mine, 2).eagerlyEvaluate(nullptr);
  auto readingB = readPattern(*theirs, 1).eagerlyEvaluate(nullptr);
  auto frame = kj::heapArray<kj::byte>(256);
  kj::Vector<kj::Promise<RemoteReply>> calls;
  for (int i = 0; i < 32; i++) {
    calls.add(p.a->call("samgrd"_kj.asArray(), frame));
    calls.add(p.b->call("samgrd"_kj.asArray(), frame));
  }
  kj::Vector<kj::Promise<kj::Array<kj::byte>>> pings;
  for (int i = 0; i < 32; i++) {
    pings.add(p.a->ping(frame));
    pings.add(p.b->ping(frame));
  }
  for (auto& call : calls) CHECK(p.sim.run(kj::mv(call)).status == CallStatus::OK);
  for (auto& ping : pings) CHECK(p.sim.run(kj::mv(ping)).size() == 256);
  CHECK(p.sim.run(kj::mv(readingA)) == 1 << 20);
  CHECK(p.sim.run(kj::mv(readingB)) == 1 << 20);
}

TEST_CASE("128 streams at once, opened from both ends, each with its own bytes both ways; the next is refused") {
  constexpr uint64_t SIZE = 70000;  // more than the initial credit
  Pair p;
  kj::Vector<kj::Own<MuxStream>> streams;
  kj::Vector<kj::Promise<void>> writes;
  kj::Vector<kj::Promise<uint64_t>> reads;
  auto talk = [&](kj::Own<MuxStream> stream, uint64_t say, uint64_t hear) {
    writes.add(writePattern(*stream, say, SIZE).eagerlyEvaluate(nullptr));
    reads.add(readPattern(*stream, hear).eagerlyEvaluate(nullptr));
    streams.add(kj::mv(stream));
  };
  for (uint64_t i = 0; i < 64; i++) {
    talk(openOn(*p.a, kj::str("a/", i), i % 8), 4 * i, 4 * i + 1);
    talk(p.sim.run(p.b->mux().accept()), 4 * i + 1, 4 * i);
    talk(openOn(*p.b, kj::str("b/", i), i % 8), 4 * i + 2, 4 * i + 3);
    talk(p.sim.run(p.a->mux().accept()), 4 * i + 3, 4 * i + 2);
  }
  CHECK(p.a->mux().core().streamCount() == 128);
  CHECK(p.a->mux().open("one/more", 0).get<MuxReject>() == MuxReject::STREAM_LIMIT_EXCEEDED);
  for (auto& read : reads) CHECK(p.sim.run(kj::mv(read)) == SIZE);
  for (auto& write : writes) p.sim.run(kj::mv(write));
  streams.clear();
  p.sim.settle();
  CHECK(p.a->mux().core().streamCount() == 0);
  CHECK(p.b->mux().core().streamCount() == 0);
  openOn(*p.a, "one/more");
}

TEST_CASE("what the mux finds wrong with a frame ends the session as a protocol error, with the label") {
  auto pipe = kj::newTwoWayPipe();
  SimClock sim;
  FixedEntropy entropy(3);
  auto client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  auto responding = respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
  auto initiated = sim.run(
      initiateHandshake(kj::mv(pipe.ends[0]), client, ExpectedPeer::of(server.publicIdentity()), sim.timer, entropy));
  auto peer = kj::mv(initiated.get<HandshakeDone>().channel);
  OpenDoor handler;
  auto session = kj::refcounted<Session>(sim.run(kj::mv(responding)).get<HandshakeDone>().channel, MuxRole::RESPONDER,
                                         static_cast<RequestHandler&>(handler), sim.timer, [] {});
  auto running = session->run(false).eagerlyEvaluate(nullptr);
  auto frame = encodeMuxFrame(MuxClose{1});
  sim.run(peer->sendRecord(frame.type, frame.body));
  auto received = sim.run(peer->receive());
  auto& record = received.get<RecordChannel::Message>();
  auto message = KJ_ASSERT_NONNULL(tryParseSessionMessage(record.type, record.body));
  CHECK(message.get<CloseMessage>().reason == CloseReason::PROTOCOL_ERROR);
  CHECK(sim.run(kj::mv(running)).why == "mux.reject.unknown_stream_frame");
  CHECK(kj::runCatchingExceptions([&] { session->mux().open("x", 0); }) != nullptr);
}

class SamgrEcho final : public idl::Samgr::Server {
 public:
  kj::Promise<void> osLite(OsLiteContext context) override {
    context.getResults().setReply(context.getParams().getFrame());
    return kj::READY_NOW;
  }
};

TEST_CASE("Cap'n Proto RPC runs over a stream, with calls in flight together and large messages") {
  Pair p;
  auto mine = openOn(*p.a, "rpc", 0);
  auto theirs = p.sim.run(p.b->mux().accept());
  capnp::TwoPartyServer server(kj::heap<SamgrEcho>());
  server.accept(kj::mv(theirs));
  {
    capnp::TwoPartyClient client(*mine);
    auto samgr = client.bootstrap().castAs<idl::Samgr>();
    kj::Vector<kj::Promise<capnp::Response<idl::Samgr::OsLiteResults>>> calls;
    for (kj::uint i = 0; i < 40; i++) {
      auto request = samgr.osLiteRequest();
      auto frame = request.initFrame(10000);
      memset(frame.begin(), i, frame.size());
      calls.add(request.send());
    }
    for (kj::uint i = 0; i < 40; i++) {
      auto response = p.sim.run(kj::mv(calls[i]));
      REQUIRE(response.getReply().size() == 10000);
      CHECK(response.getReply()[9999] == i);
    }
    // A method that is not there fails, and nothing else does.
    auto unknown = kj::runCatchingExceptions([&] {
      p.sim.run(kj::Promise<capnp::Response<idl::Samgr::ResolveStatusResults>>(samgr.resolveStatusRequest().send()));
    });
    CHECK(KJ_ASSERT_NONNULL(unknown).getType() == kj::Exception::Type::UNIMPLEMENTED);
  }
  mine = nullptr;
  p.sim.settle();
  CHECK(p.b->mux().core().streamCount() == 0);  // the server saw the end
}

class HttpEcho final : public kj::HttpService {
 public:
  explicit HttpEcho(kj::HttpHeaderTable& table) : table(table) {}
  kj::Promise<void> request(kj::HttpMethod, kj::StringPtr url, const kj::HttpHeaders&, kj::AsyncInputStream& body,
                            Response& response) override {
    auto text = co_await body.readAllText();
    kj::HttpHeaders headers(table);
    auto stream = response.send(200, "OK", headers, text.size());
    co_await stream->write(text.begin(), text.size());
  }

 private:
  kj::HttpHeaderTable& table;
};

TEST_CASE("HTTP runs over a stream, several requests on one") {
  Pair p;
  kj::HttpHeaderTable table;
  HttpEcho service(table);
  kj::HttpServer server(p.sim.timer, table, service);
  auto mine = openOn(*p.a, "http");
  auto serving = server.listenHttp(p.sim.run(p.b->mux().accept())).eagerlyEvaluate(nullptr);
  auto client = kj::newHttpClient(table, *mine);
  for (size_t size : {0, 1, 1000, 300000}) {
    auto text = kj::heapString(size);
    memset(text.begin(), 'h', size);
    auto request = client->request(kj::HttpMethod::POST, "/", kj::HttpHeaders(table), text.size());
    auto writing = request.body->write(text.begin(), text.size()).eagerlyEvaluate(nullptr);
    auto response = p.sim.run(kj::mv(request.response));
    CHECK(response.statusCode == 200);
    CHECK(p.sim.run(response.body->readAllText()) == text);
    p.sim.run(kj::mv(writing));
  }
}

// ---- two nodes on a network in memory

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11);

struct Nodes {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<BusNode> a, b;

  Nodes() {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    static constexpr kj::StringPtr trustedByA[] = {"node-b"_kj}, trustedByB[] = {"node-a"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(trustedByA, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(trustedByB, 1));
    a->knows(*b);
    sim.advance(1 * kj::SECONDS);
  }
};

TEST_CASE("a stream whose name no rule allows is denied at the other node, and audited there") {
  Nodes n;
  auto session = n.a->session("node-b");
  auto denied = openOn(*session, "secrets"), allowed = openOn(*session, "test/0");
  CHECK(KJ_ASSERT_NONNULL(n.sim.run(denied->whenTaken())) == MuxResetReason::DENIED);
  CHECK(denied->resetAuditId() == 1);
  CHECK(n.sim.run(allowed->whenTaken()) == nullptr);
  auto last = n.b->lastAudit();
  CHECK(last.id == 2);
  CHECK(last.peer == "node-a");
  CHECK(last.service == "stream:test/0");
  CHECK(last.operation == "open");
  CHECK(last.verdict == CallStatus::OK);
  CHECK(n.b->proxy->count(CallStatus::DENIED) == 1);
  auto other = n.b->session("node-a");
  CHECK(other->mux().core().backlogSize() == 1);
}

TEST_CASE("a session that is lost in the middle of bulk fails both ends; nothing wrong was read; a new one goes on") {
  for (bool cut : {true, false}) {
    CAPTURE(cut);
    Nodes n;
    auto session = n.a->session("node-b");
    auto mine = openOn(*session, "test/1");
    auto theirs = n.sim.run(n.b->session("node-a")->mux().accept());
    auto writing = writePattern(*mine, 1, 1ull << 40).eagerlyEvaluate(nullptr);
    auto writingBack = writePattern(*theirs, 2, 1ull << 40).eagerlyEvaluate(nullptr);
    auto reading = readPattern(*theirs, 1).eagerlyEvaluate(nullptr);
    auto readingBack = readPattern(*mine, 2).eagerlyEvaluate(nullptr);
    n.sim.advance(100 * kj::MILLISECONDS);
    CHECK(n.b->session("node-a")->mux().core().counters().bytesReceived > (1 << 20));
    if (cut) {
      n.network.cut("node-b");
      n.sim.advance(15 * kj::SECONDS);
      n.network.heal("node-b");
    } else {
      session->close(CloseReason::SHUTDOWN, kj::str("test"));
    }
    auto fails = [&](auto promise) {
      auto failure = kj::runCatchingExceptions([&] { n.sim.run(kj::mv(promise)); });
      CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
    };
    fails(kj::mv(writing));
    fails(kj::mv(writingBack));
    fails(kj::mv(reading));
    fails(kj::mv(readingBack));
    n.sim.advance(20 * kj::SECONDS);
    auto again = openOn(*n.a->session("node-b"), "test/1");
    CHECK(n.sim.run(again->whenTaken()) == nullptr);
  }
}

}  // namespace
}  // namespace nexus
