#include "daemons/virtionetd/nic-server.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/frame/ring-port.h"
#include "libs/nexus-net-os/testing/fake-nic.h"

namespace nexus {
namespace {

using Type = kj::Exception::Type;

kj::Array<kj::byte> frameOf(size_t size, kj::byte seed) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i);
  return frame;
}

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  FakeNic fake{io, timer};
  CapReconnect import{fake.connector()};
  idl::Nic::Client nic = import.get<idl::Nic>();

  void settle() {
    for (int i = 0; i < 10; i++) io.waitScope.poll();
  }

  kj::Promise<void> transmit(kj::ArrayPtr<const kj::byte> frame) {
    auto request = nic.transmitRequest();
    request.setFrame(frame);
    return request.send().ignoreResult();
  }

  kj::Promise<kj::Array<kj::byte>> receive() {
    return nic.receiveRequest().send().then([](auto&& r) { return kj::heapArray<kj::byte>(r.getFrame()); });
  }

  kj::Promise<uint32_t> linkStatus(uint32_t known) {
    auto request = nic.linkStatusRequest();
    request.setKnown(known);
    return request.send().then([](auto&& r) { return r.getStatus().getGeneration(); });
  }

  uint64_t counter(kj::StringPtr name) {
    auto response = nic.statisticsRequest().send().wait(io.waitScope);
    for (auto c : response.getCounters()) {
      if (c.getName() == name) return c.getValue();
    }
    KJ_FAIL_ASSERT("no such counter", name);
  }

  template <typename T>
  Type failureOf(kj::Promise<T> promise) {
    auto failure = kj::runCatchingExceptions([&] { promise.wait(io.waitScope); });
    return KJ_ASSERT_NONNULL(failure, "the call succeeded").getType();
  }
};

TEST_CASE("a frame sent by RPC leaves whole, one received by RPC arrives whole, and both are counted") {
  Fixture f;
  auto frame = frameOf(1514, 1);
  f.transmit(frame).wait(f.io.waitScope);
  REQUIRE(f.fake.device().sent.size() == 1);
  CHECK((f.fake.device().sent[0].bytes == frame));
  auto waiting = f.receive();
  CHECK_FALSE(waiting.poll(f.io.waitScope));
  f.fake.device().inject(frame, {}, 500);  // in several buffers
  CHECK((waiting.wait(f.io.waitScope) == frame));
  CHECK(f.counter("direct.rxFrames") == 1);
  CHECK(f.counter("direct.txFrames") == 1);
  CHECK(f.counter("link.rxBytes") == 1514);
}

TEST_CASE("a frame shorter than its header or longer than the mtu allows is FAILED and goes nowhere") {
  Fixture f;
  for (size_t size : {0u, 13u, 1515u, 9000u}) CHECK(f.failureOf(f.transmit(frameOf(size, 1))) == Type::FAILED);
  for (size_t size : {14u, 1514u}) f.transmit(frameOf(size, 1)).wait(f.io.waitScope);
  CHECK(f.fake.device().sent.size() == 2);
}

TEST_CASE("a full transmit queue is OVERLOADED, and free again when the device is done") {
  Fixture f;
  f.settle();
  f.fake.device().completeAtOnce = false;
  for (int i = 0; i < 16; i++) f.transmit(frameOf(60, 1)).wait(f.io.waitScope);
  CHECK(f.failureOf(f.transmit(frameOf(60, 1))) == Type::OVERLOADED);
  f.fake.device().complete(1);
  f.transmit(frameOf(60, 1)).wait(f.io.waitScope);
  CHECK(f.failureOf(f.transmit(frameOf(60, 1))) == Type::OVERLOADED);
}

TEST_CASE("a cancelled receive loses nothing: the frame goes to the next call") {
  Fixture f;
  {
    auto cancelled = f.receive();
    CHECK_FALSE(cancelled.poll(f.io.waitScope));
  }
  f.settle();
  f.fake.device().inject(frameOf(60, 7));
  f.settle();
  CHECK((f.receive().wait(f.io.waitScope) == frameOf(60, 7)));
}

TEST_CASE("sixteen calls may wait for a frame; the seventeenth is OVERLOADED, and the sixteen are served") {
  Fixture f;
  kj::Vector<kj::Promise<kj::Array<kj::byte>>> waiting;
  for (int i = 0; i < 16; i++) waiting.add(f.receive());
  f.settle();
  CHECK(f.failureOf(f.receive()) == Type::OVERLOADED);
  for (kj::byte i = 0; i < 16; i++) {
    f.fake.device().inject(frameOf(60, i));
    f.settle();
  }
  for (auto& promise : waiting) CHECK(promise.wait(f.io.waitScope).size() == 60);
}

TEST_CASE("frames that nobody asks for are kept up to 256, then the oldest is dropped and counted") {
  Fixture f;
  f.settle();
  for (int i = 0; i < 260; i++) {
    f.fake.device().inject(frameOf(60, static_cast<kj::byte>(i)));
    f.settle();
  }
  CHECK(f.counter("direct.dropQueueFull") == 4);
  for (int i = 4; i < 260; i++) CHECK(f.receive().wait(f.io.waitScope)[0] == static_cast<kj::byte>(i));
  CHECK_FALSE(f.receive().poll(f.io.waitScope));
}

TEST_CASE("a loop over linkStatus sees every change, and 0 answers at once") {
  Fixture f;
  auto first = f.linkStatus(0).wait(f.io.waitScope);
  auto next = f.linkStatus(first);
  CHECK_FALSE(next.poll(f.io.waitScope));
  f.fake.device().setLink({false, 1500, "cable"_kj});
  auto second = next.wait(f.io.waitScope);
  CHECK(second != first);
  auto down = f.nic.linkStatusRequest().send().wait(f.io.waitScope);
  CHECK_FALSE(down.getStatus().getUp());
  CHECK(down.getStatus().getReason() == "cable");
}

TEST_CASE("calls of linkStatus that wait are bounded") {
  Fixture f;
  auto known = f.linkStatus(0).wait(f.io.waitScope);
  kj::Vector<kj::Promise<uint32_t>> waiting;
  for (int i = 0; i < 64; i++) waiting.add(f.linkStatus(known));
  f.settle();
  CHECK(f.failureOf(f.linkStatus(known)) == Type::OVERLOADED);
  f.fake.device().setLink({false, 1500, "cable"_kj});
  for (auto& promise : waiting) CHECK(promise.wait(f.io.waitScope) == known + 1);
}

TEST_CASE("while an attachment lives the RPC path is FAILED, waiting calls included; afterwards it works again") {
  Fixture f;
  auto waiting = f.receive();
  CHECK_FALSE(waiting.poll(f.io.waitScope));
  f.fake.device().inject(frameOf(60, 1));
  CHECK((waiting.wait(f.io.waitScope) == frameOf(60, 1)));
  f.fake.device().inject(frameOf(60, 2));  // queued, and dropped when the attachment takes over
  f.settle();
  auto late = f.receive();
  CHECK(late.wait(f.io.waitScope).size() == 60);
  auto left = f.receive();
  CHECK_FALSE(left.poll(f.io.waitScope));
  {
    auto attachment = f.nic.attachRequest().send().wait(f.io.waitScope).getAttachment();
    CHECK(f.failureOf(kj::mv(left)) == Type::FAILED);
    CHECK(f.failureOf(f.receive()) == Type::FAILED);
    CHECK(f.failureOf(f.transmit(frameOf(60, 1))) == Type::FAILED);
    f.fake.device().inject(frameOf(60, 3));  // arrives before start: nobody's
    f.settle();
    CHECK(f.counter("direct.dropAttached") == 1);
  }
  f.settle();
  f.transmit(frameOf(60, 4)).wait(f.io.waitScope);
  CHECK(f.fake.device().sent.size() == 1);
  f.fake.device().inject(frameOf(60, 5));
  CHECK((f.receive().wait(f.io.waitScope) == frameOf(60, 5)));
}

TEST_CASE("the Nic of a link that cannot be opened answers DISCONNECTED, says why, and comes back") {
  Fixture f;
  f.settle();
  f.fake.failOpens = 3;
  f.fake.device().fail();
  f.settle();
  auto status = f.nic.linkStatusRequest().send().wait(f.io.waitScope);
  CHECK_FALSE(status.getStatus().getUp());
  CHECK(status.getStatus().getReason().size() > 0);
  CHECK(f.failureOf(f.transmit(frameOf(60, 1))) == Type::DISCONNECTED);
  CHECK(f.failureOf(f.nic.attachRequest().send().ignoreResult()) == Type::DISCONNECTED);
  for (int i = 0; i < 100; i++) {
    f.timer.advanceTo(f.timer.now() + 10 * kj::MILLISECONDS);
    f.settle();
  }
  f.transmit(frameOf(60, 1)).wait(f.io.waitScope);
  CHECK(f.counter("link.deviceFailures") == 1);
  CHECK(f.counter("link.openFailures") == 3);
}

TEST_CASE("what the backend counts is told too") {
  Fixture f;
  f.settle();
  CHECK(f.counter("fake.opens") == 1);
}

TEST_CASE("the address is the device's, six bytes") {
  Fixture f;
  auto response = f.nic.macAddressRequest().send().wait(f.io.waitScope);
  CHECK(MacAddress::fromBytes(response.getAddress()) == f.fake.device().mac);
}

}  // namespace
}  // namespace nexus
