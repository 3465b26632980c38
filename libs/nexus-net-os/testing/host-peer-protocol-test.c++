#include "libs/nexus-net-os/testing/host-peer-protocol.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

kj::String again(kj::StringPtr line) {
  KJ_IF_MAYBE (request, parseHostPeerRequest(line)) return encodeHostPeerRequest(*request);
  return kj::str("refused");
}

TEST_CASE("requests are read as they are written") {
  CHECK(again("echo") == "echo\n");
  CHECK(again("sink 1048576") == "sink 1048576\n");
  CHECK(again("source 0") == "source 0\n");
  CHECK(encodeHostPeerRequest(HostPeerRequest(HostPeerSink{HOST_PEER_BYTES_MAX})).size() <= HOST_PEER_LINE_MAX);
}

TEST_CASE("anything else is refused, and so is one byte more than the limit") {
  for (kj::StringPtr line : {""_kj, "echo "_kj, "sink"_kj, "sink "_kj, "sink -1"_kj, "sink 1 2"_kj, "source 0x10"_kj,
                             "source 9999999999"_kj, "discard 1"_kj}) {
    CHECK(again(line) == "refused");
  }
  CHECK(again(kj::str("sink ", HOST_PEER_BYTES_MAX)) != "refused");
  CHECK(again(kj::str("sink ", HOST_PEER_BYTES_MAX + 1)) == "refused");
}

TEST_CASE("the pattern depends on the place alone, not on how it is cut") {
  kj::byte whole[100], parts[100];
  fillHostPeerPattern(4093, whole);
  for (size_t i = 0; i < 100; i += 7)
    fillHostPeerPattern(4093 + i, kj::arrayPtr(parts + i, kj::min(size_t(7), 100 - i)));
  CHECK(kj::arrayPtr(whole, 100) == kj::arrayPtr(parts, 100));
}

TEST_CASE("a lost, a repeated and a swapped block change the checksum") {
  kj::byte bytes[64];
  fillHostPeerPattern(0, bytes);
  auto all = kj::arrayPtr(bytes, 64);
  auto sum = [](std::initializer_list<kj::ArrayPtr<kj::byte>> parts) {
    HostPeerChecksum checksum;
    for (auto part : parts) checksum.add(part);
    return checksum.value();
  };
  CHECK(sum({all}) == hostPeerPatternChecksum(64));
  CHECK(sum({all.slice(0, 8), all.slice(16, 64)}) != hostPeerPatternChecksum(64));
  CHECK(sum({all.slice(0, 8), all.slice(0, 64)}) != hostPeerPatternChecksum(64));
  CHECK(sum({all.slice(8, 16), all.slice(0, 8), all.slice(16, 64)}) != hostPeerPatternChecksum(64));
}

TEST_CASE("the answer to sink has a fixed form") {
  CHECK(hostPeerSinkAnswer(5, 0xab) == "sink 5 00000000000000ab");
  CHECK(hostPeerSinkAnswer(0, HostPeerChecksum().value()) == "sink 0 cbf29ce484222325");
}

}  // namespace
}  // namespace nexus
