#include "libs/nexus-net-os/stack/tcp-conn.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/pbuf-bridge.h"
#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/tiny-tcp.h"

namespace nexus {
namespace {

using idl::Outcome;
using F = TcpFields;
constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;

bool isTcp(const WireFrame& f) {
  return f.isTcp();
}
bool isSyn(const WireFrame& f) {
  return f.has(F::SYN);
}
kj::Exception::Type typeOf(const kj::Maybe<kj::Exception>& e) {
  return KJ_ASSERT_NONNULL(e).getType();
}

struct TcpFixture : StackFixture {
  TinyTcp far{peer, sim.timer, 80};
  bool listening = false;

  using StackFixture::StackFixture;

  // The peer behaves as a TCP; frames are kept too.
  void listen() {
    listening = true;
    peer.onFrame = [this](const WireFrame& frame) {
      if (frame.isTcp()) far.receive(frame);
      peer.sent.push_back(parseFrame(kj::heapArray(frame.bytes.asPtr())));
    };
  }

  kj::Own<TcpConn> connected() {
    if (!listening) listen();
    auto result = sim.run(TcpConn::connect(stack, {PEER, 80}));
    KJ_ASSERT(result.outcome == Outcome::OK);
    sim.settle();
    peer.sent.clear();
    return kj::mv(result.conn);
  }

  kj::Array<kj::byte> randomBytes(size_t count) {
    auto data = kj::heapArray<kj::byte>(count);
    entropy.fill(data);
    return data;
  }
};

TEST_CASE("connecting shakes hands with a window that scales") {
  TcpFixture f;
  f.listen();
  auto result = f.sim.run(TcpConn::connect(f.stack, {PEER, 80}));
  CHECK(result.outcome == Outcome::OK);
  CHECK(result.conn->remoteAddress() == SocketAddress{PEER, 80});
  CHECK(result.conn->localAddress().address == STACK);
  auto syn = f.expect(isSyn);
  CHECK(syn.checksumsRight);
  CHECK(syn.sourcePort == result.conn->localAddress().port);
  bool mss = false, scale = false, sack = false;
  for (size_t i = 0; i < syn.options.size() && syn.options[i] != 0; i += syn.options[i] == 1 ? 1 : syn.options[i + 1]) {
    if (syn.options[i] == 2) mss = syn.options[i + 2] * 256 + syn.options[i + 3] == 1460;
    if (syn.options[i] == 3) scale = syn.options[i + 2] == 3;
    if (syn.options[i] == 4) sack = true;
  }
  CHECK(mss);
  CHECK(scale);
  CHECK(sack);
}

TEST_CASE("a port nobody listens on is refused as a result") {
  TcpFixture f;
  f.peer.onFrame = [&](const WireFrame& frame) {
    if (frame.isTcp()) f.peer.sendTcp({80, frame.sourcePort, 0, frame.tcp.sequence + 1, F::RST | F::ACK});
  };
  auto result = f.sim.run(TcpConn::connect(f.stack, {PEER, 80}));
  CHECK(result.outcome == Outcome::REFUSED);
  CHECK(result.conn.get() == nullptr);
}

TEST_CASE("a forged reset that does not acknowledge our SYN is not believed") {
  TcpFixture f;
  auto connecting = TcpConn::connect(f.stack, {PEER, 80});
  auto syn = f.expect(isSyn);
  f.peer.sendTcp({80, syn.sourcePort, 0, syn.tcp.sequence + 2, F::RST | F::ACK});
  f.sim.settle();
  CHECK(!connecting.poll(f.sim.waitScope));
}

TEST_CASE("an unanswered SYN is repeated after 1, 3 and 7 seconds, and given up in time") {
  TcpFixture f;
  auto start = f.sim.timer.now();
  kj::Vector<int64_t> at;
  f.peer.onFrame = [&](const WireFrame& frame) {
    if (frame.isTcp()) at.add((f.sim.timer.now() - start) / kj::MILLISECONDS);
  };
  auto result = f.sim.run(TcpConn::connect(f.stack, {PEER, 80}), 200 * kj::SECONDS);
  CHECK(result.outcome == Outcome::TIMED_OUT);
  CHECK((f.sim.timer.now() - start) / kj::SECONDS == 60);
  REQUIRE(at.size() >= 5);
  int64_t wanted[] = {0, 1000, 3000, 7000, 15000};
  for (size_t i = 0; i < 5; ++i) {
    CHECK(at[i] >= wanted[i] - 100);  // the timer's grain
    CHECK(at[i] <= wanted[i] + 300);
  }
}

TEST_CASE("a neighbour that does not exist times out, a network without a route is unreachable") {
  TcpFixture f;
  f.peer.answerArp = false;
  auto result = f.sim.run(TcpConn::connect(f.stack, {PEER, 80}, {}, 5 * kj::SECONDS));
  CHECK(result.outcome == Outcome::TIMED_OUT);
  f.stack.clearIpv4();
  CHECK(f.sim.run(TcpConn::connect(f.stack, {PEER, 80})).outcome == Outcome::UNREACHABLE);
  CHECK(f.sim.run(TcpConn::connect(f.stack, {PEER, 80}, {STACK, 0})).outcome == Outcome::ADDRESS_NOT_AVAILABLE);
}

TEST_CASE("a malformed target fails at once") {
  TcpFixture f;
  for (SocketAddress bad :
       {SocketAddress{PEER, 0}, SocketAddress{{}, 80}, SocketAddress{IpAddress::v4(239, 1, 1, 1), 80}}) {
    auto error = kj::runCatchingExceptions([&]() { f.sim.run(TcpConn::connect(f.stack, bad)); });
    CHECK(typeOf(error) == kj::Exception::Type::FAILED);
  }
}

TEST_CASE("dropping a connect leaves no connection behind") {
  TcpFixture f;
  {
    auto connecting = TcpConn::connect(f.stack, {PEER, 80});
    f.expect(isSyn);
  }
  f.sim.settle();
  f.peer.sent.clear();
  f.sim.advance(30 * kj::SECONDS);
  CHECK(f.quiet(isSyn));
}

TEST_CASE("initial sequence numbers differ between connections, and between runs with another secret") {
  kj::Vector<uint32_t> isns;
  for (uint64_t seed : {1, 2}) {
    TcpFixture f(StackFixture::ipv4Only(), seed);
    f.listen();
    for (int i = 0; i < 5; ++i) {
      auto conn = f.connected();
      isns.add(f.far.stackIsn);
    }
  }
  for (size_t i = 0; i < isns.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      uint32_t distance = isns[i] > isns[j] ? isns[i] - isns[j] : isns[j] - isns[i];
      CHECK(distance > 1000);
    }
  }
}

TEST_CASE("local ports are random, in the dynamic range, and not reused while in use") {
  TcpFixture f;
  f.listen();
  kj::Vector<kj::Own<TcpConn>> conns;
  size_t consecutive = 0;
  for (int i = 0; i < 20; ++i) {
    conns.add(f.connected());
    uint16_t port = conns[i]->localAddress().port;
    CHECK(port >= 49152);
    for (int j = 0; j < i; ++j) CHECK(conns[j]->localAddress().port != port);
    if (i > 0 && port == conns[i - 1]->localAddress().port + 1) ++consecutive;
  }
  CHECK(consecutive < 3);
}

TEST_CASE("bytes go both ways, in order, and the ends come apart in order") {
  TcpFixture f;
  auto conn = f.connected();
  f.sim.run(conn->write(bytesOf("request")));
  f.sim.settle();
  CHECK(textOf(f.far.received) == "request");
  auto reading = conn->read(100);
  f.far.send(bytesOf("answer"));
  CHECK(textOf(f.sim.run(kj::mv(reading))) == "answer");

  f.sim.run(conn->shutdownWrite());
  f.sim.settle();
  CHECK(f.far.finReceived);
  auto error = kj::runCatchingExceptions([&]() { f.sim.run(conn->write(bytesOf("late"))); });
  CHECK(typeOf(error) == kj::Exception::Type::FAILED);
  f.far.send(bytesOf("still talking"));
  CHECK(textOf(f.sim.run(conn->read(100))) == "still talking");
  f.far.finish();
  CHECK(f.sim.run(conn->read(100)).size() == 0);
  CHECK(f.sim.run(conn->read(100)).size() == 0);
  conn = nullptr;
  f.sim.advance(300 * kj::SECONDS);
  CHECK(!f.far.resetReceived);
}

TEST_CASE("the end of the peer's stream comes after its data, and writing goes on") {
  TcpFixture f;
  auto conn = f.connected();
  f.far.send(bytesOf("bye"));
  f.far.finish();
  f.sim.settle();
  CHECK(textOf(f.sim.run(conn->read(100))) == "bye");
  CHECK(conn->atEnd());
  CHECK(f.sim.run(conn->read(100)).size() == 0);
  f.sim.run(conn->write(bytesOf("one more thing")));
  f.sim.settle();
  CHECK(textOf(f.far.received) == "one more thing");
}

TEST_CASE("a read takes no more than it asked for, and the window stays shut over the rest") {
  TcpFixture f;
  auto conn = f.connected();
  auto data = f.randomBytes(1000 * 1000);
  f.far.send(data);
  f.sim.settle();
  CHECK(conn->available() == 256 * 1024);  // TCP_WND, and not a byte more
  kj::Vector<kj::byte> got;
  auto repeating = f.far.repeatLoop().eagerlyEvaluate(nullptr);
  while (got.size() < data.size()) {
    auto piece = f.sim.run(conn->read(7777));
    CHECK(piece.size() <= 7777);
    got.addAll(piece);
  }
  CHECK(got.asPtr() == data.asPtr());
}

TEST_CASE("peek and consume see the same bytes as read, in place") {
  TcpFixture f;
  auto conn = f.connected();
  auto data = f.randomBytes(20000);
  f.far.send(data);
  f.sim.settle();
  if (PbufBridge::LENDS) {
    CHECK(f.stack.counters().rxInPlace > 5);
    CHECK(f.peer.outstanding() > 5);  // the payload lies in the port's memory
  }
  kj::Vector<kj::byte> got;
  while (conn->available() > 0) {
    auto piece = conn->peek();
    size_t n = kj::min(piece.size(), size_t(1000));
    got.addAll(piece.slice(0, n));
    conn->consume(n);
  }
  CHECK(got.asPtr() == data.asPtr());
  CHECK(f.peer.outstanding() == 0);
}

TEST_CASE("a read that is given up loses no byte") {
  TcpFixture f;
  auto conn = f.connected();
  {
    auto abandoned = conn->whenReadable();
    f.far.send(bytesOf("kept"));
    f.sim.settle();
    CHECK(abandoned.poll(f.sim.waitScope));
  }
  CHECK(textOf(f.sim.run(conn->read(100))) == "kept");
  {
    auto waiting = conn->read(10);
  }
  f.far.send(bytesOf("kept too"));
  CHECK(textOf(f.sim.run(conn->read(100))) == "kept too");
}

TEST_CASE("waiting reads and writes are served in the order of their calls, also when one in the middle is dropped") {
  TcpFixture f;
  auto conn = f.connected();
  auto first = conn->read(2);
  kj::Maybe<kj::Promise<kj::Array<kj::byte>>> dropped = conn->read(2);
  auto third = conn->read(2);
  dropped = nullptr;
  f.far.send(bytesOf("abcd"));
  CHECK(textOf(f.sim.run(kj::mv(third))) == "cd");
  CHECK(textOf(f.sim.run(kj::mv(first))) == "ab");

  auto big = f.randomBytes(600 * 1000);
  auto one = conn->write(big);
  auto two = conn->write(bytesOf("tail"));
  f.sim.run(kj::mv(two));
  f.sim.advance(1 * kj::SECONDS);
  REQUIRE(f.far.received.size() == big.size() + 4);
  CHECK(f.far.received.asPtr().slice(0, big.size()) == big.asPtr());
  CHECK(textOf(f.far.received.asPtr().slice(big.size(), big.size() + 4)) == "tail");
}

TEST_CASE("a write waits while the peer's window is shut, and probes it") {
  TcpFixture f;
  f.far.window = 1000;
  auto conn = f.connected();
  auto data = f.randomBytes(300 * 1000);
  f.far.window = 0;
  auto writing = conn->write(data);
  f.sim.advance(10 * kj::SECONDS);
  CHECK(!writing.poll(f.sim.waitScope));
  CHECK(f.far.received.size() <= 1000);
  CHECK(f.peer.sent.size() >= 3);  // probes (RFC 9293, 3.8.6.1)
  f.far.window = 65535;
  f.far.sendRaw(f.far.fields());
  f.sim.run(kj::mv(writing));
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.far.received.asPtr() == data.asPtr());
}

TEST_CASE("room for many bytes is waited for until there is as much, and a lost connection ends the wait") {
  TcpFixture f;
  auto conn = f.connected();
  size_t whole = conn->writableBytes();
  CHECK(whole >= 128 << 10);
  f.sim.run(conn->whenWritable(32768));
  f.far.acknowledge = false;
  auto data = f.randomBytes(whole);
  CHECK(conn->tryWrite(data) == whole);
  CHECK(conn->writableBytes() == 0);
  auto little = conn->whenWritable(), much = conn->whenWritable(32768);
  f.sim.settle();
  CHECK(!little.poll(f.sim.waitScope));
  auto first = f.far.fields();
  first.acknowledgement = f.far.stackIsn + 1 + 1460;
  f.far.sendRaw(first);
  f.sim.run(kj::mv(little));
  CHECK(conn->writableBytes() == 1460);
  CHECK(!much.poll(f.sim.waitScope));
  f.far.acknowledge = true;
  f.sim.run(kj::mv(much));
  CHECK(conn->writableBytes() >= 32768);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.far.received.asPtr() == data.asPtr());
  conn->abort();
  CHECK(conn->writableBytes() == 0);
  CHECK_THROWS_AS(f.sim.run(conn->whenWritable(32768)), kj::Exception);
}

TEST_CASE("lost data is sent again after one, then two, then four seconds") {
  TcpFixture f;
  auto conn = f.connected();
  f.far.acknowledge = false;
  auto start = f.sim.timer.now();
  kj::Vector<int64_t> at;
  f.peer.onFrame = [&](const WireFrame& frame) {
    if (frame.payload.size() > 0 && frame.isTcp()) at.add((f.sim.timer.now() - start) / kj::MILLISECONDS);
  };
  f.sim.run(conn->write(bytesOf("lost")));
  f.sim.advance(8 * kj::SECONDS);
  int64_t wanted[] = {0, 1000, 3000, 7000};
  REQUIRE(at.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(at[i] >= wanted[i] - 100);  // the timer's grain
    CHECK(at[i] <= wanted[i] + 300);
  }
}

TEST_CASE("everything arrives intact both ways through loss in both directions") {
  for (uint64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    TcpFixture f;
    FixedEntropy dice(seed);
    auto conn = f.connected();
    f.peer.lose = [&](const WireFrame&) { return dice.next() % 20 == 0; };
    auto repeating = f.far.repeatLoop().eagerlyEvaluate(nullptr);
    auto data = f.randomBytes(150 * 1000), answer = f.randomBytes(150 * 1000);
    f.far.send(answer);
    auto writing = conn->write(data).then([&]() { return conn->shutdownWrite(); }).eagerlyEvaluate(nullptr);
    kj::Vector<kj::byte> got;
    while (got.size() < answer.size()) got.addAll(f.sim.run(conn->read(65536), 600 * kj::SECONDS));
    f.sim.run(kj::mv(writing), 600 * kj::SECONDS);
    for (int i = 0; i < 600 && !f.far.finReceived; ++i) f.sim.advance(1 * kj::SECONDS);
    CHECK(f.peer.lost > 5);
    CHECK(got.asPtr() == answer.asPtr());
    CHECK(f.far.received.asPtr() == data.asPtr());
    CHECK(f.far.finReceived);
  }
}

TEST_CASE("a reset fails what waits as disconnected, after what had arrived was read") {
  TcpFixture f;
  auto conn = f.connected();
  auto gone = conn->whenDisconnected();
  f.far.send(bytesOf("last words"));
  f.sim.settle();
  f.far.sendRaw(f.far.fields(F::RST));
  f.sim.settle();
  CHECK(gone.poll(f.sim.waitScope));
  CHECK(textOf(f.sim.run(conn->read(100))) == "last words");
  auto error = kj::runCatchingExceptions([&]() { f.sim.run(conn->read(100)); });
  CHECK(typeOf(error) == kj::Exception::Type::DISCONNECTED);
  error = kj::runCatchingExceptions([&]() { f.sim.run(conn->write(bytesOf("x"))); });
  CHECK(typeOf(error) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("dropping a connection sends what was written, then FIN, even when data arrives that nobody reads") {
  TcpFixture f;
  auto conn = f.connected();
  auto data = f.randomBytes(200 * 1000);
  f.sim.run(conn->write(data));
  f.far.send(bytesOf("nobody will read this"));
  conn = nullptr;
  f.far.send(bytesOf("nor this"));
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.far.received.asPtr() == data.asPtr());
  CHECK(f.far.finReceived);
  CHECK(!f.far.resetReceived);
  CHECK(f.far.allAcknowledged());
  f.far.finish();
  f.sim.advance(300 * kj::SECONDS);
  CHECK(f.stack.counters().tcpOrphansNow == 0);
}

TEST_CASE("orphans are bounded: the one idle longest is reset, and none lives on without progress") {
  auto options = StackFixture::ipv4Only();
  options.maxOrphans = 2;
  TcpFixture f(options);
  f.listen();
  for (int i = 0; i < 3; ++i) {
    auto conn = f.connected();
    f.far.acknowledge = false;
    f.sim.run(conn->write(bytesOf("unheard")));
    conn = nullptr;
    f.far.acknowledge = true;
    f.sim.advance(10 * kj::MILLISECONDS);
  }
  CHECK(f.stack.counters().tcpOrphansAborted == 1);
  CHECK(f.stack.counters().tcpOrphansNow == 2);
  f.peer.onFrame = [](const WireFrame&) {};
  f.sim.advance(90 * kj::SECONDS);
  CHECK(f.stack.counters().tcpOrphansNow == 0);
}

TEST_CASE("abort sends RST") {
  TcpFixture f;
  auto conn = f.connected();
  conn->abort();
  f.sim.settle();
  CHECK(f.far.resetReceived);
  auto error = kj::runCatchingExceptions([&]() { f.sim.run(conn->read(1)); });
  CHECK(typeOf(error) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("a segment without ACK is refused, and data with an impossible or ancient ACK is answered but not taken") {
  TcpFixture f;
  auto conn = f.connected();
  f.far.sendRaw(f.far.fields(F::PSH), bytesOf("forged"));
  f.sim.settle();
  CHECK(f.stack.counters().tcpDataWithoutAck == 1);
  for (int64_t wrong : {int64_t(1), int64_t(1) << 30, -(int64_t(1) << 20)}) {
    f.peer.sent.clear();
    auto fields = f.far.fields(F::ACK | F::PSH);
    fields.acknowledgement += wrong;
    f.far.sendRaw(fields, bytesOf("forged"));
    auto challenge = f.expect(isTcp);
    CHECK(challenge.tcp.flags == F::ACK);
    CHECK(challenge.tcp.acknowledgement == fields.sequence);
  }
  CHECK(f.stack.counters().tcpBadAck == 3);
  CHECK(conn->available() == 0);
  f.far.send(bytesOf("real"));
  CHECK(textOf(f.sim.run(conn->read(100))) == "real");
}

TEST_CASE("resets and SYNs in the window are challenged, at most as often as the limit allows") {
  auto options = StackFixture::ipv4Only();
  options.challengeAckPerSecond = 5;
  TcpFixture f(options);
  auto conn = f.connected();
  for (int i = 0; i < 20; ++i) {
    auto fields = f.far.fields(i % 2 ? F::RST : F::SYN);
    fields.sequence += 100 + i;
    f.far.sendRaw(fields);
  }
  f.sim.settle();
  size_t challenges = 0;
  while (f.peer.take(isTcp) != nullptr) ++challenges;
  CHECK(challenges == 5);
  CHECK(f.stack.counters().limitedChallengeAcks == 15);
  f.far.send(bytesOf("alive"));
  CHECK(textOf(f.sim.run(conn->read(100))) == "alive");
}

TEST_CASE("data that fills a hole is acknowledged at once") {
  TcpFixture f;
  auto conn = f.connected();
  auto fields = f.far.fields(F::ACK);
  fields.sequence += 10;
  f.far.sendRaw(fields, bytesOf("second"));
  CHECK(f.expect(isTcp).tcp.acknowledgement == f.far.firstUnacknowledged());  // a duplicate ACK
  fields.sequence -= 10;
  f.far.sendRaw(fields, bytesOf("first 10 b"));
  CHECK(f.expect(isTcp).tcp.acknowledgement == f.far.firstUnacknowledged() + 16);  // no time has passed
  CHECK(textOf(f.sim.run(conn->read(100))) == "first 10 bsecond");
}

TEST_CASE("single bytes that nobody reads are joined, so that they do not hold a buffer each") {
  TcpFixture f;
  f.far.mss = 1;
  auto conn = f.connected();
  f.far.send(f.randomBytes(5000));
  f.sim.settle();
  CHECK(conn->available() == 5000);
  CHECK(f.stack.counters().heapBytesNow < 20000);
}

TEST_CASE("when the heap is at its limit writes wait and connecting is overloaded, and it passes") {
  auto options = StackFixture::ipv4Only();
  options.heapLimit = 40000;
  TcpFixture f(options);
  auto conn = f.connected();
  f.far.acknowledge = false;
  auto data = f.randomBytes(100 * 1000);
  auto writing = conn->write(data);
  f.sim.settle();
  CHECK(!writing.poll(f.sim.waitScope));
  CHECK(f.stack.counters().outOfMemory > 0);
  f.far.acknowledge = true;
  f.sim.run(kj::mv(writing), 300 * kj::SECONDS);
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.far.received.asPtr() == data.asPtr());
}

TEST_CASE("when every connection block is taken, one more is overloaded and the others live on") {
  TcpFixture f;
  f.listen();
  kj::Vector<kj::Own<TcpConn>> conns;
  kj::Maybe<kj::Exception> error;
  while (error == nullptr && conns.size() < 2000) {
    error = kj::runCatchingExceptions([&]() { conns.add(f.connected()); });
  }
  CHECK(conns.size() == 1024);  // MEMP_NUM_TCP_PCB
  CHECK(typeOf(error) == kj::Exception::Type::OVERLOADED);
  f.far.send(bytesOf("to the last one"));
  CHECK(textOf(f.sim.run(conns.back()->read(100))) == "to the last one");
  conns.clear();
}

TEST_CASE("what is under way when the link goes comes through when it is back, without waiting out the back-off") {
  TcpFixture f;
  auto conn = f.connected();
  f.peer.state.up = false;
  f.peer.changeLink();
  f.sim.settle();
  auto writing = conn->write(bytesOf("through the gap"));
  f.sim.advance(40 * kj::SECONDS);
  CHECK(f.far.received.size() == 0);
  f.peer.state.up = true;
  f.peer.changeLink();
  f.sim.advance(500 * kj::MILLISECONDS);
  CHECK(textOf(f.far.received) == "through the gap");
}

TEST_CASE("when the stack goes, connections fail as disconnected and hold nothing") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  TinyTcp far(peer, sim.timer, 80);
  peer.onFrame = [&](const WireFrame& frame) { far.receive(frame); };
  kj::Own<TcpConn> conn;
  kj::Maybe<kj::Promise<void>> gone;
  {
    LwipStack stack(sim.timer, entropy, peer, StackFixture::ipv4Only());
    stack.setIpv4({STACK, 24, {}}, idl::NetConfig::Origin::STATIC);
    auto running = stack.runLoop().eagerlyEvaluate(nullptr);
    conn = sim.run(TcpConn::connect(stack, {PEER, 80})).conn;
    auto data = kj::heapArray<kj::byte>(5000);
    far.send(data);
    sim.settle();
    CHECK((peer.outstanding() > 0) == PbufBridge::LENDS);
    gone = conn->whenDisconnected();
  }
  CHECK(peer.outstanding() == 0);
  CHECK(far.resetReceived);
  sim.run(kj::mv(KJ_ASSERT_NONNULL(gone)));
  auto error = kj::runCatchingExceptions([&]() { sim.run(conn->read(1)); });
  CHECK(typeOf(error) == kj::Exception::Type::DISCONNECTED);
}

}  // namespace
}  // namespace nexus
