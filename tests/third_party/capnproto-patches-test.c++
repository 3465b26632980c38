// The patches of tools/third_party/capnproto: what upstream 1.1.0 accepted and we refuse.
#include <capnp/serialize-async.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <kj/compat/http.h>
#include <kj/debug.h>

#include <string>

namespace nexus {
namespace {

// segment-count.patch ------------------------------------------------

// A first word whose segment count wraps around to zero, and a word that would be a null root.
constexpr kj::byte WRAPPED[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

TEST_CASE("an asynchronous reader refuses a segment count that wraps around to zero") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto pipe = kj::newOneWayPipe();
  auto written = pipe.out->write(WRAPPED, sizeof(WRAPPED)).eagerlyEvaluate([](kj::Exception&&) {});
  auto message = capnp::tryReadMessage(*pipe.in);
  CHECK_THROWS_WITH_AS(message.wait(waitScope), doctest::Contains("no segments"), kj::Exception);
}

TEST_CASE("a buffered message stream refuses a segment count that wraps around to zero") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto pipe = kj::newTwoWayPipe();
  auto written = pipe.ends[0]->write(WRAPPED, sizeof(WRAPPED)).eagerlyEvaluate([](kj::Exception&&) {});
  capnp::BufferedMessageStream stream(*pipe.ends[1], [](capnp::MessageReader&) { return false; });
  auto message = stream.tryReadMessage();
  CHECK_THROWS_WITH_AS(message.wait(waitScope), doctest::Contains("no segments"), kj::Exception);
}

TEST_CASE("the synchronous readers refuse a segment count that wraps around to zero") {
  kj::ArrayInputStream input(kj::arrayPtr(WRAPPED, sizeof(WRAPPED)));
  CHECK_THROWS_WITH_AS(capnp::InputStreamMessageReader reader(input), doctest::Contains("no segments"), kj::Exception);

  alignas(capnp::word) kj::byte aligned[sizeof(WRAPPED)];
  memcpy(aligned, WRAPPED, sizeof(WRAPPED));
  auto words = kj::arrayPtr(reinterpret_cast<const capnp::word*>(aligned), sizeof(aligned) / sizeof(capnp::word));
  CHECK_THROWS_WITH_AS(capnp::FlatArrayMessageReader reader(words), doctest::Contains("no segments"), kj::Exception);
}

// http-lengths.patch -------------------------------------------------

// The body of one request whose text is given; an exception when kj-http refuses it.
kj::String bodyOf(kj::StringPtr text) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::HttpHeaderTable table;
  auto pipe = kj::newTwoWayPipe();
  auto written = pipe.ends[0]
                     ->write(text.begin(), text.size())
                     .then([&] { pipe.ends[0]->shutdownWrite(); })
                     .eagerlyEvaluate([](kj::Exception&&) {});
  auto input = kj::newHttpInputStream(*pipe.ends[1], table);
  auto request = input->readRequest().wait(waitScope);
  return request.body->readAllText().wait(waitScope);
}

kj::String lengthBody(kj::StringPtr length) {
  return bodyOf(kj::str("POST / HTTP/1.1\r\nContent-Length: ", length, "\r\n\r\nhello"));
}

kj::String chunkedBody(kj::StringPtr size) {
  return bodyOf(kj::str("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", size, "\r\nhello\r\n0\r\n\r\n"));
}

TEST_CASE("a Content-Length is digits that fit 64 bits, and nothing else") {
  CHECK(lengthBody("5") == "hello");
  CHECK(lengthBody("005") == "hello");
  for (kj::StringPtr bad : {"-1"_kj, "-5"_kj, "+5"_kj, "5 5"_kj, "0x5"_kj, "5,5"_kj, "18446744073709551616"_kj,
                            "18446744073709551621"_kj, "99999999999999999999"_kj}) {
    INFO(std::string(bad.cStr()));
    CHECK_THROWS_WITH_AS(lengthBody(bad), doctest::Contains("invalid Content-Length"), kj::Exception);
  }
}

TEST_CASE("the Content-Length of a response to HEAD is checked too") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::HttpHeaderTable table;
  auto pipe = kj::newTwoWayPipe();
  auto text = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"_kj;
  auto written = pipe.ends[0]->write(text.begin(), text.size()).eagerlyEvaluate([](kj::Exception&&) {});
  auto input = kj::newHttpInputStream(*pipe.ends[1], table);
  auto response = input->readResponse(kj::HttpMethod::HEAD);
  CHECK_THROWS_WITH_AS(response.wait(waitScope), doctest::Contains("invalid Content-Length"), kj::Exception);
}

TEST_CASE("a chunk size fits 64 bits") {
  CHECK(chunkedBody("5") == "hello");
  CHECK(chunkedBody("00000000000000000005") == "hello");
  for (kj::StringPtr bad : {"10000000000000005"_kj, "f0000000000000005"_kj, "100000000000000000000000000000005"_kj}) {
    INFO(std::string(bad.cStr()));
    CHECK_THROWS_WITH_AS(chunkedBody(bad), doctest::Contains("chunk size"), kj::Exception);
  }
}

}  // namespace
}  // namespace nexus
