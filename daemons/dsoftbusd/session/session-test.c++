#include "daemons/dsoftbusd/session/session.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "daemons/dsoftbusd/mux/mux-frame.h"
#include "daemons/dsoftbusd/session/handshake.h"
#include "daemons/dsoftbusd/session/tap-stream.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

// Answers every request with its own frame, or keeps it waiting.
class EchoHandler final : public RequestHandler {
 public:
  kj::uint running = 0, most = 0, served = 0;
  bool hang = false;
  kj::Timer& timer;
  kj::Duration delay = 0 * kj::SECONDS;
  explicit EchoHandler(kj::Timer& timer) : timer(timer) {}

  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte> frame) override {
    auto copy = kj::heapArray(frame);
    running++;
    most = kj::max(most, running);
    KJ_DEFER(running--);
    if (hang) co_await kj::Promise<void>(kj::NEVER_DONE);
    if (delay > 0 * kj::SECONDS) co_await timer.afterDelay(delay);
    served++;
    co_return RemoteReply{CallStatus::OK, served, kj::mv(copy)};
  }
};

// One end is a whole session, the other the bare channel of a peer that may do anything.
struct Fixture {
  SimClock sim;
  FixedEntropy entropy{3};
  DeviceIdentity client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  EchoHandler handler{sim.timer};
  kj::Vector<kj::Array<kj::byte>> sent;  // by the peer
  kj::Own<kj::AsyncIoStream> wire;       // the peer's stream
  TapStream* tap = nullptr;
  kj::Vector<kj::Array<kj::byte>> said;  // by the session
  TapStream* own = nullptr;              // its stream
  kj::Own<RecordChannel> peer;
  kj::Own<Session> session;
  kj::uint live = 0;
  kj::Maybe<SessionEnd> end;
  kj::Promise<void> running = nullptr;

  explicit Fixture(SessionLimits limits = {}, RecordLimits records = {}) {
    auto pipe = kj::newTwoWayPipe();
    wire = kj::mv(pipe.ends[0]);
    auto ownTap = kj::heap<TapStream>(kj::mv(pipe.ends[1]), said);
    own = ownTap.get();
    auto responding = respondToHandshake(kj::mv(ownTap), server, sim.timer, entropy, records);
    auto tapped = kj::heap<TapStream>(kj::heap<BorrowedStream>(*wire), sent);
    tap = tapped.get();
    auto initiated = sim.run(initiateHandshake(kj::mv(tapped), client, ExpectedPeer::of(server.publicIdentity()),
                                               sim.timer, entropy, records));
    peer = kj::mv(initiated.get<HandshakeDone>().channel);
    auto responded = sim.run(kj::mv(responding));
    session = kj::refcounted<Session>(
        kj::mv(responded.get<HandshakeDone>().channel), MuxRole::RESPONDER, static_cast<RequestHandler&>(handler),
        sim.timer, [this] { live++; }, limits);
    sent.clear();
  }

  void start(bool greet = true) {
    running = session->run(greet).then([this](SessionEnd&& e) { end = kj::mv(e); }).eagerlyEvaluate(nullptr);
  }

  // What the session sent next.
  SessionMessage next() {
    auto received = sim.run(peer->receive());
    last = kj::mv(received.get<RecordChannel::Message>());
    return KJ_ASSERT_NONNULL(tryParseSessionMessage(last.type, last.body));
  }
  RecordChannel::Message last;

  // Reads whatever the session sends, so that it never waits for the peer.
  kj::Promise<void> drain() {
    for (;;) {
      auto received = co_await peer->receive();
      if (!received.is<RecordChannel::Message>()) co_return;
    }
  }

  void say(const SessionMessage& message) { sim.run(peer->send(message)); }
  void raw(kj::ArrayPtr<const kj::byte> bytes) { sim.run(wire->write(bytes.begin(), bytes.size())); }

  // The session greets; the peer answers and greets too.
  void becomeLive() {
    start();
    auto ping = next().get<PingMessage>();
    say(PongMessage{ping.id, nullptr});
    say(PingMessage{1, nullptr});
    CHECK(next().is<PongMessage>());
    sim.settle();
    REQUIRE(session->isLive());
  }

  // The session must have sent a close record with that reason and ended.
  void checkClosed(CloseReason reason) {
    for (;;) {
      auto message = next();
      if (!message.is<CloseMessage>()) continue;
      CHECK(message.get<CloseMessage>().reason == reason);
      break;
    }
    sim.advance(2 * kj::SECONDS);
    CHECK(session->hasEnded());
    REQUIRE(end != nullptr);
  }
};

TEST_CASE("a session whose writes fail ends, though the peer is still heard, and keeps nothing more to send") {
  Fixture f;
  f.becomeLive();
  f.own->broken = true;
  kj::uint failed = 0;
  for (int i = 0; i < 5; i++) {
    f.session->call("samgrd"_kj, "x"_kj.asBytes())
        .then([](RemoteReply&&) {},
              [&](kj::Exception&& e) {
                CHECK(e.getType() == kj::Exception::Type::DISCONNECTED);
                failed++;
              })
        .detach([](kj::Exception&&) {});
    f.sim.settle();
    CHECK(failed == i + 1);  // each at once: none waits behind those that cannot be written
  }
  f.say(PongMessage{77, nullptr});
  f.sim.advance(900 * kj::MILLISECONDS);
  CHECK_FALSE(f.session->hasEnded());
  f.say(PongMessage{77, nullptr});  // the keep-alive is content
  f.sim.advance(200 * kj::MILLISECONDS);
  CHECK(f.session->hasEnded());
  CHECK(KJ_ASSERT_NONNULL(f.end).why == "the connection failed: no more");
}

TEST_CASE("a session whose writes fail still hears why the peer closed") {
  Fixture f;
  f.becomeLive();
  f.own->broken = true;
  f.say(PingMessage{5, nullptr});  // its answer fails
  f.sim.settle();
  f.say(CloseMessage{CloseReason::UNAUTHENTICATED, 42});
  f.sim.settle();
  REQUIRE(f.end != nullptr);
  CHECK(KJ_ASSERT_NONNULL(f.end).peerAuditId == 42);
}

TEST_CASE("a session that cannot even greet ends, and does not ask again and again") {
  Fixture f;
  f.own->broken = true;
  f.start();
  f.sim.advance(2 * kj::SECONDS);
  CHECK(f.session->hasEnded());
}

TEST_CASE("a session is live once its ping was answered and it has answered one, not before, and says so once") {
  Fixture f;
  f.start();
  auto ping = f.next().get<PingMessage>();
  CHECK_FALSE(f.session->isLive());
  f.say(PongMessage{ping.id, nullptr});
  f.sim.settle();
  CHECK_FALSE(f.session->isLive());
  f.say(PingMessage{9, "x"_kj.asBytes()});
  auto pong = f.next().get<PongMessage>();
  CHECK(pong.id == 9);
  CHECK(pong.payload == "x"_kj.asBytes());
  f.sim.settle();
  CHECK(f.session->isLive());
  f.say(PingMessage{10, nullptr});
  f.next();
  CHECK(f.live == 1);
}

TEST_CASE("a pong with a number that nobody sent makes nothing live") {
  Fixture f;
  f.start();
  f.next();
  f.say(PingMessage{1, nullptr});
  f.next();
  f.say(PongMessage{4711, nullptr});
  f.sim.settle();
  CHECK_FALSE(f.session->isLive());
  CHECK(f.session->lateAnswerCount() == 1);
}

TEST_CASE("a first pong that comes too late is asked for again, so that the session becomes live all the same") {
  Fixture f;
  f.start();
  auto late = f.next().get<PingMessage>();
  f.say(PingMessage{1, nullptr});
  CHECK(f.next().is<PongMessage>());
  // Not silent: only the answer is missing.
  f.sim.advance(2900 * kj::MILLISECONDS);
  f.say(PingMessage{2, nullptr});
  CHECK(f.next().is<PongMessage>());
  f.sim.advance(2900 * kj::MILLISECONDS);
  f.say(PongMessage{late.id, nullptr});
  f.sim.settle();
  CHECK_FALSE(f.session->isLive());
  auto again = f.next().get<PingMessage>();
  CHECK(again.id != late.id);
  f.say(PongMessage{again.id, nullptr});
  f.sim.settle();
  CHECK(f.session->isLive());
  CHECK(f.live == 1);
}

TEST_CASE("a repeated record ends the session") {
  Fixture f;
  f.becomeLive();
  f.sent.clear();
  f.say(PingMessage{2, nullptr});
  REQUIRE(f.sent.size() == 1);
  CHECK(f.next().is<PongMessage>());
  f.raw(f.sent[0]);
  f.checkClosed(CloseReason::PROTOCOL_ERROR);
}

TEST_CASE("a record with one changed bit, one after a record that was left out, and one out of order end the session") {
  for (size_t at : {size_t(0), size_t(4), size_t(12), size_t(28)}) {
    CAPTURE(at);
    Fixture f;
    f.becomeLive();
    f.sent.clear();
    f.tap->hold = true;
    f.say(PingMessage{2, nullptr});
    auto record = kj::mv(f.sent[0]);
    REQUIRE(record.size() == 4 + 1 + 8 + 16);
    if (at == 0)
      record[3] += 1;  // the length; the stream then ends one byte short
    else
      record[at] ^= 0x10;
    f.raw(record);
    if (at == 0) f.wire->shutdownWrite();
    f.checkClosed(CloseReason::PROTOCOL_ERROR);
  }
  for (bool deliverLeftOut : {false, true}) {
    Fixture f;
    f.becomeLive();
    f.sent.clear();
    f.tap->hold = true;
    f.say(PingMessage{2, nullptr});
    f.say(PingMessage{3, nullptr});
    kj::Vector<kj::byte> bytes;
    bytes.addAll(f.sent[1]);
    if (deliverLeftOut) bytes.addAll(f.sent[0]);
    f.raw(bytes);
    f.checkClosed(CloseReason::PROTOCOL_ERROR);
  }
}

TEST_CASE("a record of a length that may not be ends the session before its bytes are waited for") {
  for (uint32_t length : {0u, 16u, 65536u, 0xffffffffu}) {
    CAPTURE(length);
    Fixture f;
    f.becomeLive();
    kj::byte header[4] = {kj::byte(length >> 24), kj::byte(length >> 16), kj::byte(length >> 8), kj::byte(length)};
    f.raw(header);
    f.checkClosed(CloseReason::PROTOCOL_ERROR);
  }
}

TEST_CASE("a stream that ends inside a record ends the session as a fault, one between records as an end") {
  {
    Fixture f;
    f.becomeLive();
    kj::byte part[10] = {0, 0, 0, 40, 1, 2, 3};
    f.raw(part);
    f.wire->shutdownWrite();
    f.checkClosed(CloseReason::PROTOCOL_ERROR);
    CHECK(KJ_ASSERT_NONNULL(f.end).why == "the stream ended inside a record");
  }
  {
    Fixture f;
    f.becomeLive();
    f.wire->shutdownWrite();
    f.sim.advance(1 * kj::SECONDS);
    CHECK(KJ_ASSERT_NONNULL(f.end).why == "the peer ended the connection without a close record");
  }
}

TEST_CASE("a record that is no message ends the session, although it decrypts") {
  struct Case {
    uint8_t type;
    kj::StringPtr body;
  };
  for (auto& c : {Case{6, "x"}, Case{255, ""}, Case{1, "short"},
                  Case{4,
                       "12345678\x09"
                       "12345678"},
                  Case{5, ""}}) {
    CAPTURE(c.type);
    Fixture f;
    f.becomeLive();
    f.sim.run(f.peer->sendRecord(c.type, c.body.asBytes()));
    f.checkClosed(CloseReason::PROTOCOL_ERROR);
  }
}

TEST_CASE("the peer's close record ends the session with its reason, and calls that wait with it") {
  for (auto reason : {CloseReason::SHUTDOWN, CloseReason::UNAUTHENTICATED, CloseReason::SUPERSEDED}) {
    Fixture f;
    f.becomeLive();
    auto call = f.session->call("samgrd"_kj.asArray(), nullptr);
    auto ping = f.session->ping(nullptr);
    f.sim.settle();
    f.say(CloseMessage{reason, 77});
    f.sim.settle();
    auto& end = KJ_ASSERT_NONNULL(f.end);
    CHECK(KJ_ASSERT_NONNULL(end.peerReason) == reason);
    CHECK(end.peerAuditId == 77);
    CHECK_THROWS(f.sim.run(kj::mv(ping)));
    if (reason == CloseReason::UNAUTHENTICATED) {
      auto reply = f.sim.run(kj::mv(call));
      CHECK(reply.status == CallStatus::UNAUTHENTICATED);
      CHECK(reply.auditId == 77);
    } else {
      auto failure = kj::runCatchingExceptions([&] { f.sim.run(kj::mv(call)); });
      CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
    }
    CHECK_THROWS(f.session->call("samgrd"_kj.asArray(), nullptr).wait(f.sim.waitScope));
  }
}

TEST_CASE("silence is answered with pings, and nine seconds of it end the session") {
  Fixture f;
  f.becomeLive();
  f.sim.advance(3 * kj::SECONDS);
  CHECK(f.next().is<PingMessage>());
  f.sim.advance(5900 * kj::MILLISECONDS);
  CHECK_FALSE(f.session->hasEnded());
  f.sim.advance(200 * kj::MILLISECONDS);
  f.checkClosed(CloseReason::TIMED_OUT);
}

TEST_CASE("a peer that does not read cannot keep the session from ending") {
  Fixture f;
  f.becomeLive();
  f.sim.advance(20 * kj::SECONDS);  // nothing is read at the other end: not the pings, not the close record
  CHECK(f.session->hasEnded());
  CHECK(KJ_ASSERT_NONNULL(f.end).why == "nothing heard for 9 s");
}

TEST_CASE("at most sixteen requests of the peer are served at once; the others wait their turn and none is lost") {
  Fixture f;
  f.handler.delay = 100 * kj::MILLISECONDS;
  f.becomeLive();
  kj::Vector<kj::Promise<void>> sends;
  for (uint64_t i = 0; i < 40; i++) sends.add(f.peer->send(RequestMessage{i, "samgrd"_kj.asArray(), nullptr}));
  for (int i = 0; i < 40; i++) CHECK(f.next().is<ResponseMessage>());
  CHECK(f.handler.served == 40);
  CHECK(f.handler.most == 16);
}

TEST_CASE("sixty-four requests of the peer may be unanswered; then reading waits for an answer to leave") {
  Fixture f;
  f.handler.delay = 500 * kj::MILLISECONDS;
  f.becomeLive();
  auto request = [&](uint64_t id) { return f.peer->send(RequestMessage{id, "samgrd"_kj.asArray(), nullptr}); };
  kj::Vector<kj::Promise<void>> sends;
  for (uint64_t i = 0; i < 63; i++) sends.add(request(i));
  f.say(PingMessage{100, nullptr});
  CHECK(f.next().is<PongMessage>());
  sends.add(request(63));
  sends.add(f.peer->send(PingMessage{101, nullptr}));
  auto next = f.peer->receive();
  f.sim.advance(490 * kj::MILLISECONDS);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  auto first = f.sim.run(kj::mv(next));
  auto& record = first.get<RecordChannel::Message>();
  CHECK(KJ_ASSERT_NONNULL(tryParseSessionMessage(record.type, record.body)).is<ResponseMessage>());
  bool ponged = false;
  for (int i = 0; i < 64; i++) ponged = f.next().is<PongMessage>() || ponged;
  CHECK(ponged);
  CHECK(f.handler.served == 64);
  CHECK(f.handler.most == 16);
}

TEST_CASE("a peer that sends nothing but records of streams is heard") {
  Fixture f;
  f.becomeLive();
  auto draining = f.drain().eagerlyEvaluate(nullptr);
  for (uint32_t i = 0; i < 10; i++) {
    auto open = encodeMuxFrame(MuxOpen{1 + 2 * i, 4, "nobody-offers-this"_kj.asArray()});
    f.sim.run(f.peer->sendRecord(open.type, open.body));
    f.sim.advance(2 * kj::SECONDS);
    CHECK_FALSE(f.session->hasEnded());
  }
  f.sim.advance(10 * kj::SECONDS);
  CHECK(f.session->hasEnded());
}

TEST_CASE("a request that is being served when the session ends is cancelled") {
  Fixture f;
  f.handler.hang = true;
  f.becomeLive();
  f.say(RequestMessage{1, "samgrd"_kj.asArray(), nullptr});
  f.sim.settle();
  CHECK(f.handler.running == 1);
  f.say(CloseMessage{CloseReason::SHUTDOWN, 0});
  f.sim.settle();
  CHECK(f.handler.running == 0);
}

TEST_CASE(
    "a call that is not answered has the status timed out after five seconds; the answer that comes then is late") {
  Fixture f;
  f.becomeLive();
  auto call = f.session->call("samgrd"_kj.asArray(), nullptr);
  auto request = f.next().get<RequestMessage>();
  auto before = f.sim.timer.now();
  auto reply = f.sim.run(kj::mv(call));
  CHECK(reply.status == CallStatus::TIMED_OUT);
  CHECK(f.sim.timer.now() - before == 5 * kj::SECONDS);
  f.say(ResponseMessage{request.id, CallStatus::OK, 1, nullptr});
  f.sim.settle();
  CHECK(f.session->lateAnswerCount() == 1);
  CHECK_FALSE(f.session->hasEnded());
}

TEST_CASE("one more waiting call than the bound is refused as overloaded, and there is room again when one gave up") {
  SessionLimits limits;
  limits.maxWaiting = 3;
  Fixture f(limits);
  f.becomeLive();
  kj::Vector<kj::Promise<RemoteReply>> calls;
  for (int i = 0; i < 3; i++) calls.add(f.session->call("samgrd"_kj.asArray(), nullptr));
  auto failure =
      kj::runCatchingExceptions([&] { f.session->call("samgrd"_kj.asArray(), nullptr).wait(f.sim.waitScope); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  calls.removeLast();
  calls.add(f.session->call("samgrd"_kj.asArray(), nullptr));
}

TEST_CASE("with every place for calls taken the session still pings, and ends when nothing is heard") {
  SessionLimits limits;
  limits.maxWaiting = 3;
  Fixture f(limits);
  f.becomeLive();
  kj::Vector<kj::Promise<RemoteReply>> calls;
  for (int i = 0; i < 3; i++) calls.add(f.session->call("samgrd"_kj.asArray(), nullptr));
  CHECK_THROWS(f.session->ping(nullptr).wait(f.sim.waitScope));
  for (int i = 0; i < 3; i++) CHECK(f.next().is<RequestMessage>());
  f.sim.advance(3500 * kj::MILLISECONDS);
  CHECK(f.next().is<PingMessage>());
  CHECK_FALSE(f.session->hasEnded());
  CHECK(f.session->pingForNode().poll(f.sim.waitScope) == false);
  f.sim.advance(7 * kj::SECONDS);
  REQUIRE(f.end != nullptr);
  CHECK(KJ_ASSERT_NONNULL(f.end).why == "nothing heard for 9 s");
}

TEST_CASE("an authenticated peer that sends anything at all neither crashes the session nor is forwarded twice") {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    CAPTURE(seed);
    Fixture f;
    FixedEntropy random(seed);
    f.becomeLive();
    auto reading = f.drain().eagerlyEvaluate([](kj::Exception&&) {});
    kj::uint requests = 0;
    for (int i = 0; i < 30 && !f.session->hasEnded(); i++) {
      auto body = kj::heapArray<kj::byte>(random.next() % 40);
      random.fill(body);
      uint8_t type = 1 + random.next() % 5;
      if (type >= 3 && body.size() > 8 && random.next() % 2) body[8] = 1;  // a plausible length or status
      if (tryParseSessionMessage(type, body) != nullptr && type == 3) requests++;
      auto sending = f.peer->sendRecord(type, body).eagerlyEvaluate([](kj::Exception&&) {});
      f.sim.advance(1 * kj::MILLISECONDS);
    }
    CHECK(f.handler.served <= requests);
  }
}

TEST_CASE("answers find their calls in any order") {
  Fixture f;
  f.becomeLive();
  auto first = f.session->call("samgrd"_kj.asArray(), "1"_kj.asBytes());
  auto second = f.session->call("samgrd"_kj.asArray(), "2"_kj.asBytes());
  auto firstId = f.next().get<RequestMessage>().id, secondId = f.next().get<RequestMessage>().id;
  f.say(ResponseMessage{secondId, CallStatus::OK, 2, "two"_kj.asBytes()});
  f.say(ResponseMessage{firstId, CallStatus::DENIED, 1, nullptr});
  CHECK(f.sim.run(kj::mv(second)).reply == "two"_kj.asBytes());
  CHECK(f.sim.run(kj::mv(first)).status == CallStatus::DENIED);
}

}  // namespace
}  // namespace nexus
