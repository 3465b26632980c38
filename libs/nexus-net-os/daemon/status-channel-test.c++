#include "libs/nexus-net-os/daemon/status-channel.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <random>

namespace nexus {
namespace {

kj::Maybe<StatusMessage> parse(kj::StringPtr line) {
  return parseStatus(line.asArray());
}

// What the line means, encoded again; "refused" when it means nothing.
kj::String roundTrip(kj::StringPtr line) {
  KJ_IF_MAYBE (message, parse(line)) return encodeStatus(*message);
  return kj::str("refused");
}

TEST_CASE("every form is read and written as the same bytes") {
  for (kj::StringPtr line :
       {"kernel 6.1.0-56-cloud-amd64"_kj, "step net-iface ok"_kj, "step net-ping ok 3 of 3 answered"_kj,
        "step dma-isolation FAIL canary changed at 0x40"_kj, "service virtionetd start"_kj,
        "service virtionetd exit signal 9"_kj, "exit 0"_kj, "exit 255"_kj, "traffic 812 0 9223372036854775807 3"_kj,
        "chaos 0 armed"_kj, "chaos 7 call 0"_kj, "chaos 4294967295 stream 4294967295"_kj}) {
    CHECK(roundTrip(line) == line);
  }
}

TEST_CASE("the fields arrive where they belong") {
  auto step = KJ_ASSERT_NONNULL(parse("step net-ping FAIL no answer"));
  CHECK(step.get<StatusStep>().name == "net-ping");
  CHECK(!step.get<StatusStep>().ok);
  CHECK(step.get<StatusStep>().detail == "no answer");
  auto exit = KJ_ASSERT_NONNULL(parse("service samgrd exit exit 3"));
  CHECK(exit.get<StatusServiceExit>().name == "samgrd");
  CHECK(exit.get<StatusServiceExit>().status == "exit 3");
  auto traffic = KJ_ASSERT_NONNULL(parse("traffic 1 2 3 4")).get<StatusTraffic>();
  CHECK(traffic.calls == 1);
  CHECK(traffic.failed == 2);
  CHECK(traffic.streamed == 3);
  CHECK(traffic.breaks == 4);
  auto chaos = KJ_ASSERT_NONNULL(parse("chaos 5 stream 812")).get<StatusChaos>();
  CHECK(chaos.event == 5);
  CHECK((chaos.what == StatusChaos::What::STREAM));
  CHECK(chaos.ms == 812);
}

TEST_CASE("a carriage return before the line feed is not part of the line") {
  CHECK(roundTrip("exit 7\r") == "exit 7");
}

TEST_CASE("anything but an exact form is refused") {
  for (kj::StringPtr line : {""_kj,
                             "\r"_kj,
                             " "_kj,
                             "exit"_kj,
                             "exit "_kj,
                             "exit -1"_kj,
                             "exit 256"_kj,
                             "exit 0000"_kj,
                             "exit 0 0"_kj,
                             "EXIT 0"_kj,
                             "exit 0x1"_kj,
                             "kernel"_kj,
                             "kernel a b"_kj,
                             "kernel 6.1\x1b[2J"_kj,
                             "step"_kj,
                             "step a"_kj,
                             "step a OK"_kj,
                             "step  ok"_kj,
                             "step a fail why"_kj,
                             "step a ok "_kj,
                             "step a/b ok"_kj,
                             "service a"_kj,
                             "service a stop"_kj,
                             "service a start 1"_kj,
                             "service a exit"_kj,
                             "service a exit\tsignal 9"_kj,
                             "hello"_kj,
                             "traffic"_kj,
                             "traffic 1 2 3"_kj,
                             "traffic 1 2 3 4 5"_kj,
                             "traffic 1 2 3 -4"_kj,
                             "traffic 1 2 3 04"_kj,
                             "traffic 1  3 4"_kj,
                             "traffic 1 2 3 99999999999999999999"_kj,
                             "chaos 1"_kj,
                             "chaos armed"_kj,
                             "chaos 1 armed 5"_kj,
                             "chaos 1 call"_kj,
                             "chaos 1 call x"_kj,
                             "chaos 4294967296 armed"_kj,
                             "chaos 1 stream 4294967296"_kj,
                             "chaos 1 stop 3"_kj,
                             "step net-iface ok d\xc3\xa9tail"_kj}) {
    CAPTURE(line.cStr());
    CHECK(roundTrip(line) == "refused");
  }
}

TEST_CASE("a line at the limit is read and one byte more is refused") {
  kj::String head = kj::str("step a ok ");
  auto fill = [](size_t n) { return kj::str(kj::repeat('x', n)); };
  CHECK(parse(kj::str(head, fill(STATUS_LINE_MAX - head.size()))) != nullptr);
  CHECK(parse(kj::str(head, fill(STATUS_LINE_MAX - head.size() + 1))) == nullptr);
  CHECK(parse(kj::str("kernel ", fill(STATUS_NAME_MAX))) != nullptr);
  CHECK(parse(kj::str("kernel ", fill(STATUS_NAME_MAX + 1))) == nullptr);
}

TEST_CASE("a detail can neither make a second line nor an over-long one") {
  StatusMessage injected = StatusStep{kj::str("a"), false, kj::str("bad\nexit 0\r\x01")};
  CHECK(encodeStatus(injected) == "step a FAIL bad?exit 0??");
  StatusMessage longOne = StatusStep{kj::str("a"), false, kj::str(kj::repeat('y', 1000))};
  CHECK(encodeStatus(longOne).size() == STATUS_LINE_MAX);
  CHECK(parse(encodeStatus(longOne)) != nullptr);
}

TEST_CASE("spaces at the end of a detail are dropped, so that what is written can be read") {
  CHECK(encodeStatus(StatusMessage(StatusStep{kj::str("a"), true, kj::str("two words  ")})) == "step a ok two words");
  CHECK(encodeStatus(StatusMessage(StatusStep{kj::str("a"), true, kj::str("  ")})) == "step a ok");
}

TEST_CASE("a name that could not be read back is the writer's fault") {
  for (kj::StringPtr name : {""_kj, "a b"_kj, "a\nb"_kj}) {
    StatusMessage message = StatusServiceStart{kj::heapString(name)};
    CHECK_THROWS(encodeStatus(message));
  }
}

TEST_CASE("the steps are named after their markers") {
  CHECK(KJ_ASSERT_NONNULL(stepName(marker::SELFTEST_NET_IFACE.text)) == "net-iface");
  CHECK(KJ_ASSERT_NONNULL(stepName(marker::SELFTEST_SAMGRD_REGISTER.text)) == "samgrd-v1-register");
  CHECK(stepName(marker::SELFTEST_END.text) == nullptr);
  CHECK(stepName(marker::NET_VIRTIO_UP.text) == nullptr);
  CHECK(stepName("SELFTEST:  ok") == nullptr);
}

TEST_CASE("random bytes are refused or read as what would be written") {
  std::mt19937 random(20261120);
  kj::StringPtr seeds[] = {"step net-iface ok detail"_kj, "service a exit signal 9"_kj, "exit 12"_kj,
                           "kernel 6.1.0"_kj};
  size_t accepted = 0;
  for (int i = 0; i < 20000; i++) {
    auto line = kj::heapString(seeds[random() % 4]);
    for (kj::uint n = random() % 3; n > 0; n--) line[random() % line.size()] = char(random());
    KJ_IF_MAYBE (message, parseStatus(line.asArray().slice(0, line.size() - random() % 2))) {
      accepted++;
      auto again = encodeStatus(*message);
      CAPTURE(again.cStr());
      CHECK(roundTrip(again) == again);
    }
  }
  CHECK(accepted > 1000);
}

}  // namespace
}  // namespace nexus
