#include "selftest/traffic-calls.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>

#include "libs/oslite-frames/statefs-frames.h"

namespace nexus {
namespace {

constexpr size_t STATEFSD = 3;

TEST_CASE("there is one kind of call for each service behind the proxy, and a reply of another kind is none") {
  TrafficCalls calls("node-a");
  kj::StringPtr names[] = {"samgrd"_kj, "bundlemgrd"_kj, "packagefsd"_kj, "statefsd"_kj};
  REQUIRE(calls.count() == 4);
  auto resolved = kj::decodeHex("534d0186000000000000000000"_kj);
  for (size_t i = 0; i < 4; i++) {
    CHECK(calls.service(i) == names[i]);
    CHECK(calls.frame(i).size() > 3);
    CHECK(calls.accept(i, resolved) == (i == 0));
    CHECK_FALSE(calls.accept(i, nullptr));
  }
}

TEST_CASE("statefsd is given a value once, and must give back that value ever after") {
  TrafficCalls calls("node-a");
  auto put = calls.frame(STATEFSD);
  CHECK_FALSE(calls.accept(STATEFSD, sf::encodeStatusReply(sf::Op::PUT, nullptr, sf::Status::IO_ERROR)));
  CHECK(calls.frame(STATEFSD) == put);
  CHECK(calls.accept(STATEFSD, sf::encodeStatusReply(sf::Op::PUT, nullptr, sf::Status::OK)));
  CHECK(calls.frame(STATEFSD) != put);
  CHECK(calls.accept(STATEFSD, sf::encodeGetReply(nullptr, "traffic-of-node-a"_kj.asBytes())));
  CHECK_FALSE(calls.accept(STATEFSD, sf::encodeGetReply(nullptr, "traffic-of-node-b"_kj.asBytes())));
  CHECK_FALSE(calls.accept(STATEFSD, sf::encodeStatusReply(sf::Op::GET, nullptr, sf::Status::NOT_FOUND)));
}

}  // namespace
}  // namespace nexus
