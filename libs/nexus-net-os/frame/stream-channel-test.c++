#include "libs/nexus-net-os/frame/stream-channel.h"

#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libs/nexus-net-os/frame/copying-device.h"
#include "libs/nexus-net-os/frame/device-loans.h"

namespace nexus {
namespace {

kj::Array<kj::byte> frameOf(size_t size, kj::byte seed) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i * 7);
  return frame;
}

kj::Array<kj::byte> framed(kj::ArrayPtr<const kj::byte> frame) {
  kj::Vector<kj::byte> bytes;
  for (int shift : {24, 16, 8, 0}) bytes.add(static_cast<kj::byte>(frame.size() >> shift));
  bytes.addAll(frame);
  return bytes.releaseAsArray();
}

// A channel whose connections are socket pairs handed out by the test, on virtual time.
struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::AutoCloseFd peer;  // the other end of the present connection
  bool refuse = false;
  kj::uint attempts = 0;
  StreamChannel channel{io.unixEventPort, timer, [this]() -> kj::Promise<kj::AutoCloseFd> {
                          attempts++;
                          if (refuse) return KJ_EXCEPTION(FAILED, "refused");
                          int ends[2];
                          KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
                          peer = kj::AutoCloseFd(ends[1]);
                          return kj::AutoCloseFd(ends[0]);
                        }};

  Fixture() { io.waitScope.poll(); }

  void advance(kj::Duration duration) {
    auto end = timer.now() + duration;
    for (;;) {
      io.waitScope.poll();
      auto next = timer.nextEvent().orDefault(end);
      if (next >= end) break;
      timer.advanceTo(next);
    }
    timer.advanceTo(end);
    io.waitScope.poll();
  }

  void peerSends(kj::ArrayPtr<const kj::byte> bytes) {
    KJ_ASSERT(write(peer, bytes.begin(), bytes.size()) == (ssize_t)bytes.size());
  }

  kj::Array<kj::byte> peerReceives() {
    kj::Vector<kj::byte> all;
    kj::byte buffer[4096];
    ssize_t count;
    while ((count = recv(peer, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) all.addAll(kj::arrayPtr(buffer, count));
    return all.releaseAsArray();
  }

  kj::Array<kj::byte> read(size_t room = 2048) {
    auto out = kj::heapArray<kj::byte>(room);
    size_t length = channel.tryRead(out);
    return kj::heapArray<kj::byte>(out.slice(0, length));
  }

  bool write1(kj::ArrayPtr<const kj::byte> frame) {
    kj::ArrayPtr<const kj::byte> pieces[] = {frame.slice(0, 10), frame.slice(10, frame.size())};
    return channel.tryWrite(pieces);
  }
};

TEST_CASE("frames cross both ways, each behind its length in network order") {
  Fixture f;
  CHECK(f.channel.linkState().up);
  auto frame = frameOf(1514, 1);
  CHECK(f.write1(frame));
  CHECK((f.peerReceives() == framed(frame)));
  f.peerSends(framed(frame));
  CHECK((f.read() == frame));
  CHECK(f.read().size() == 0);
}

TEST_CASE("a frame that comes byte by byte, and several that come at once, are told apart") {
  Fixture f;
  auto frame = frameOf(60, 4);
  for (kj::byte b : framed(frame)) {
    CHECK(f.read().size() == 0);
    f.peerSends(kj::arrayPtr(&b, 1));
  }
  CHECK((f.read() == frame));
  kj::Vector<kj::byte> many;
  for (kj::byte i = 0; i < 100; i++) many.addAll(framed(frameOf(60u + i, i)));
  f.peerSends(many);
  for (kj::byte i = 0; i < 100; i++) CHECK((f.read() == frameOf(60u + i, i)));
  CHECK(f.read().size() == 0);
}

TEST_CASE("a frame that fits no buffer is skipped and counted, and the next one is found") {
  Fixture f;
  f.peerSends(framed(frameOf(2049, 1)));
  f.peerSends(framed(frameOf(60'000, 2)));
  f.peerSends(framed(frameOf(60, 3)));
  CHECK((f.read() == frameOf(60, 3)));
  CHECK(f.channel.counters().droppedLong == 2);
  CHECK(f.channel.linkState().up);
}

TEST_CASE("an impossible length ends the connection, and the next one starts clean") {
  for (uint32_t length : {0u, 65'537u, 0xffffffffu}) {
    Fixture f;
    kj::byte prefix[] = {static_cast<kj::byte>(length >> 24), static_cast<kj::byte>(length >> 16),
                         static_cast<kj::byte>(length >> 8), static_cast<kj::byte>(length)};
    f.peerSends(prefix);
    CHECK(f.read().size() == 0);
    CHECK_FALSE(f.channel.linkState().up);
    CHECK(f.channel.counters().badLengths == 1);
    f.advance(3 * kj::SECONDS);
    CHECK(f.channel.linkState().up);
    f.peerSends(framed(frameOf(60, 1)));
    CHECK((f.read() == frameOf(60, 1)));
  }
}

TEST_CASE("a peer that goes away: link down, frames lost and counted as on a cable, connected again with back-off") {
  Fixture f;
  f.refuse = true;
  f.peer = nullptr;
  CHECK(f.read().size() == 0);
  CHECK_FALSE(f.channel.linkState().up);
  CHECK(f.channel.linkState().reason.size() > 0);
  CHECK(f.write1(frameOf(60, 1)));
  CHECK(f.channel.counters().droppedAway == 1);
  auto before = f.attempts;
  f.advance(20 * kj::SECONDS);
  CHECK(f.attempts - before >= 10);
  CHECK(f.attempts - before <= 20);
  f.refuse = false;
  f.advance(3 * kj::SECONDS);
  CHECK(f.channel.linkState().up);
  CHECK(f.channel.counters().connections == 2);
}

TEST_CASE("a slow peer: the channel says no, keeps what was half sent, and loses nothing") {
  Fixture f;
  auto frame = frameOf(2000, 9);
  kj::uint sent = 0;
  while (f.write1(frame)) REQUIRE(++sent < 10'000);
  CHECK(sent > 10);
  kj::Vector<kj::byte> got;
  kj::uint more = 0;
  for (int i = 0; i < 50; i++) {
    got.addAll(f.peerReceives());
    if (f.write1(frame)) more++;
  }
  got.addAll(f.peerReceives());
  CHECK(more == 50);
  kj::Vector<kj::byte> expected;
  for (kj::uint i = 0; i < sent + more; i++) expected.addAll(framed(frame));
  // What the last write could not finish is on its way with the next.
  CHECK(f.write1(frame));
  expected.addAll(framed(frame));
  got.addAll(f.peerReceives());
  CHECK((got.asPtr() == expected.asPtr()));
}

TEST_CASE("as a device: readiness follows the socket, link changes are reported, frames arrive in buffers") {
  Fixture f;
  auto pool = BufferPool::create({16, 16});
  CopyingDevice device(f.channel, pool, MacAddress{{2, 0, 0, 0, 0, 1}});
  DeviceLoans loans(device, pool.geometry());
  struct User final : DeviceLoans::User {
    BufferPool& pool;
    DeviceLoans& loans;
    kj::Vector<kj::Array<kj::byte>> frames;
    kj::uint freed = 0;
    User(BufferPool& pool, DeviceLoans& loans) : pool(pool), loans(loans) {}
    void frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta&) override {
      frames.add(kj::heapArray<kj::byte>(pool.bytes(segments[0])));
      loans.giveBack(segments[0].buffer);
    }
    void transmitBufferFree(BufferId) override { freed++; }
  } user(pool, loans);
  loans.flush();
  loans.poll(user, 64);
  auto ready = device.whenReady();
  CHECK_FALSE(ready.poll(f.io.waitScope));
  for (kj::byte i = 0; i < 100; i++) f.peerSends(framed(frameOf(60, i)));
  CHECK(ready.poll(f.io.waitScope));
  CHECK(loans.poll(user, 64) == 16);  // as many as there are buffers
  while (loans.poll(user, 64) > 0) {
  }
  REQUIRE(user.frames.size() == 100);
  for (kj::byte i = 0; i < 100; i++) CHECK((user.frames[i] == frameOf(60, i)));

  auto id = KJ_ASSERT_NONNULL(loans.takeAnySpare());
  auto out = frameOf(100, 1);
  memcpy(pool.buffer(id).begin(), out.begin(), out.size());
  loans.transmit({FrameSegment{id, 0, 100}}, {});
  CHECK((f.peerReceives() == framed(out)));
  loans.poll(user, 64);
  CHECK(user.freed == 1);

  auto next = device.whenReady();
  CHECK_FALSE(next.poll(f.io.waitScope));
  f.refuse = true;
  f.peer = nullptr;
  CHECK(next.poll(f.io.waitScope));
  loans.poll(user, 64);
  CHECK_FALSE(device.linkState().up);
  auto back = device.whenReady();
  CHECK_FALSE(back.poll(f.io.waitScope));
  f.refuse = false;
  f.advance(3 * kj::SECONDS);
  CHECK(back.poll(f.io.waitScope));
}

TEST_CASE("more frames to send than a slow peer takes: the device says no at its bound and resumes") {
  Fixture f;
  auto pool = BufferPool::create({16, 4096});
  CopyingDevice device(f.channel, pool, MacAddress{{2, 0, 0, 0, 0, 1}});
  BufferId id = 16;
  kj::uint accepted = 0;
  while (accepted < 4000 && device.transmit({FrameSegment{id, 0, 2000}}, {})) id++, accepted++;
  CHECK(accepted < 4000);
  CHECK(accepted > CopyingDevice::MAX_WAITING);
  struct Count final : FrameDevice::Events {
    kj::uint done = 0;
    void received(kj::ArrayPtr<const FrameSegment>, const FrameMeta&) override {}
    void transmitted(BufferId) override { done++; }
  } count;
  device.poll(count, 4096);
  auto sentSoFar = count.done;
  CHECK(accepted - sentSoFar == CopyingDevice::MAX_WAITING);
  auto ready = device.whenReady();
  CHECK_FALSE(ready.poll(f.io.waitScope));
  f.peerReceives();
  CHECK(ready.poll(f.io.waitScope));
  for (int i = 0; i < 100 && count.done < accepted; i++) {
    device.poll(count, 4096);
    f.peerReceives();
  }
  CHECK(count.done == accepted);
}

TEST_CASE("a listener takes one peer after the other at a real path; a connector finds it") {
  auto io = kj::setupAsyncIo();
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  // A short name relative to the working directory: socket paths are at most 107 bytes.
  kj::String path = kj::str("stream-", getpid());
  StreamChannel listening(io.unixEventPort, timer, unixStreamListener(io.unixEventPort, path));
  KJ_DEFER(unlink(path.cStr()));
  for (kj::uint round = 1; round <= 3; round++) {
    auto connecting = kj::heap<StreamChannel>(io.unixEventPort, timer, unixStreamConnector(path));
    for (int i = 0; i < 10; i++) io.waitScope.poll();
    REQUIRE(connecting->linkState().up);
    REQUIRE(listening.linkState().up);
    CHECK(listening.counters().connections == round);
    auto frame = frameOf(60, 1);
    kj::ArrayPtr<const kj::byte> pieces[] = {frame};
    CHECK(connecting->tryWrite(pieces));
    kj::byte out[2048];
    CHECK(listening.tryRead(out) == 60);
    connecting = nullptr;
    CHECK(listening.tryRead(out) == 0);  // notices, and takes the next
    CHECK_FALSE(listening.linkState().up);
    for (int i = 0; i < 10; i++) io.waitScope.poll();
    timer.advanceTo(timer.now() + 5 * kj::SECONDS);
    for (int i = 0; i < 10; i++) io.waitScope.poll();
  }
}

TEST_CASE("a connector that comes before its listener finds it later") {
  auto io = kj::setupAsyncIo();
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  kj::String path = kj::str("stream-late-", getpid());
  StreamChannel connecting(io.unixEventPort, timer, unixStreamConnector(path));
  io.waitScope.poll();
  CHECK_FALSE(connecting.linkState().up);
  StreamChannel listening(io.unixEventPort, timer, unixStreamListener(io.unixEventPort, path));
  KJ_DEFER(unlink(path.cStr()));
  timer.advanceTo(timer.now() + StreamChannel::FIRST_DELAY);
  for (int i = 0; i < 10; i++) io.waitScope.poll();
  CHECK(connecting.linkState().up);
  CHECK(listening.linkState().up);
}

TEST_CASE("a path that is no socket address is refused with the name of the setting") {
  auto io = kj::setupAsyncIo();
  CHECK_THROWS(unixStreamConnector(""));
  CHECK_THROWS(unixStreamConnector(kj::str(kj::repeat('x', 108))));
  CHECK_THROWS(unixStreamListener(io.unixEventPort, "no/such/folder/socket"));
}

}  // namespace
}  // namespace nexus
