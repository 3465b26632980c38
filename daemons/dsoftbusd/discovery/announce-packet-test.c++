#include "daemons/dsoftbusd/discovery/announce-packet.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;
using Kind = AnnounceError::Kind;

Announce sample() {
  Announce announce;
  announce.deviceId = kj::str("node-a");
  announce.sessionPort = 34567;
  for (size_t i = 0; i < KEY_BYTES; i++) announce.staticKey[i] = i;
  announce.services = kj::heapArray<kj::String>(2);
  announce.services[0] = kj::str("samgrd");
  announce.services[1] = kj::str("bundlemgrd");
  return announce;
}

// Offsets in the sample.
constexpr size_t AT_VERSION = 4, AT_ID_LENGTH = 5, AT_ID = 6, AT_PORT = 12, AT_COUNT = 46, AT_FIRST_SERVICE = 47;

Bytes encoded(const Announce& announce) {
  auto result = encodeAnnounce(announce);
  KJ_REQUIRE(result.is<Bytes>(), "not encoded", result.get<AnnounceError>());
  return kj::mv(result.get<Bytes>());
}

AnnounceError decodeError(kj::ArrayPtr<const kj::byte> packet) {
  auto result = decodeAnnounce(packet);
  REQUIRE(result.is<AnnounceError>());
  return result.get<AnnounceError>();
}

AnnounceError encodeError(const Announce& announce) {
  auto result = encodeAnnounce(announce);
  REQUIRE(result.is<AnnounceError>());
  return result.get<AnnounceError>();
}

TEST_CASE("announce v1 is the golden bytes, and they decode to what was encoded") {
  auto packet = encoded(sample());
  CHECK(kj::encodeHex(packet) == kj::str("4e585342", "01", "06", "6e6f64652d61", "8707",
                                         "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "02", "06",
                                         "73616d677264", "0a", "62756e646c656d677264"));
  auto decoded = decodeAnnounce(packet);
  REQUIRE(decoded.is<Announce>());
  CHECK(decoded.get<Announce>() == sample());
}

TEST_CASE("the smallest and the largest legal packets go both ways") {
  Announce smallest;
  smallest.deviceId = kj::str("x");
  auto packet = encoded(smallest);
  CHECK(packet.size() == 42);
  CHECK(decodeAnnounce(packet).get<Announce>() == smallest);

  Announce largest;
  auto name = kj::str(kj::repeat('n', ANNOUNCE_MAX_NAME));
  largest.deviceId = kj::heapString(name);
  largest.services = KJ_MAP(i, kj::range(size_t(0), ANNOUNCE_MAX_SERVICES)) {
    return kj::heapString(name);
  };
  largest.mesh = kj::heapString(name);
  packet = encoded(largest);
  CHECK(packet.size() == ANNOUNCE_MAX_BYTES);
  CHECK(decodeAnnounce(packet).get<Announce>() == largest);
}

TEST_CASE("announce v1 rejects an overlong or empty service name") {
  auto announce = sample();
  announce.services[1] = kj::str(kj::repeat('x', ANNOUNCE_MAX_NAME + 1));
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "service name length"});
  announce.services[1] = kj::str();
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "service name length"});
}

TEST_CASE("an oversized announce is refused when it is encoded") {
  auto announce = sample();
  announce.deviceId = kj::str(kj::repeat('x', ANNOUNCE_MAX_NAME + 1));
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "device_id length"});
  announce.deviceId = kj::str();
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "device_id length"});
  announce = sample();
  announce.services = KJ_MAP(i, kj::range(size_t(0), ANNOUNCE_MAX_SERVICES + 1)) {
    return kj::str("s");
  };
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "service count"});
}

TEST_CASE("encoding reports the device id before the count before the names") {
  auto announce = sample();
  announce.services = KJ_MAP(i, kj::range(size_t(0), ANNOUNCE_MAX_SERVICES + 1)) {
    return kj::str();
  };
  CHECK(encodeError(announce).field == "service count");
  announce.deviceId = kj::str();
  CHECK(encodeError(announce).field == "device_id length");
}

TEST_CASE("announce v1 rejects bad magic") {
  for (size_t i = 0; i < AT_VERSION; i++) {
    auto packet = encoded(sample());
    packet[i] ^= 0x20;
    CHECK(decodeError(packet) == AnnounceError{Kind::BAD_MAGIC});
  }
}

TEST_CASE("announce v1 rejects every other version and says which") {
  auto packet = encoded(sample());
  for (int version = 0; version < 256; version++) {
    if (version == 1) continue;
    packet[AT_VERSION] = version;
    CHECK(decodeError(packet) == AnnounceError{Kind::UNSUPPORTED_VERSION, uint8_t(version)});
  }
}

TEST_CASE("announce v1 rejects every truncation") {
  auto packet = encoded(sample());
  for (size_t size = 0; size < packet.size(); size++) {
    CAPTURE(size);
    CHECK(decodeError(packet.slice(0, size)) == AnnounceError{Kind::TRUNCATED});
  }
}

TEST_CASE("lengths and counts out of range are named") {
  auto with = [](size_t at, kj::byte value) {
    auto packet = encoded(sample());
    packet[at] = value;
    return decodeError(packet);
  };
  CHECK(with(AT_ID_LENGTH, 0) == AnnounceError{Kind::INVALID_INPUT, 0, "device_id length"});
  CHECK(with(AT_ID_LENGTH, 65) == AnnounceError{Kind::INVALID_INPUT, 0, "device_id length"});
  CHECK(with(AT_ID_LENGTH, 255) == AnnounceError{Kind::INVALID_INPUT, 0, "device_id length"});
  CHECK(with(AT_COUNT, 17) == AnnounceError{Kind::INVALID_INPUT, 0, "service count"});
  CHECK(with(AT_FIRST_SERVICE, 0) == AnnounceError{Kind::INVALID_INPUT, 0, "service name length"});
  CHECK(with(AT_FIRST_SERVICE, 65) == AnnounceError{Kind::INVALID_INPUT, 0, "service name length"});
}

TEST_CASE("text that is not UTF-8 is rejected, text that is passes") {
  auto with = [](kj::ArrayPtr<const char> id) {
    auto packet = encoded(sample());
    memcpy(packet.begin() + AT_ID, id.begin(), 6);
    return decodeAnnounce(packet);
  };
  CHECK(with("n\xc3\xb6"
             "de1"_kj)
            .is<Announce>());
  for (auto bad : {"node\xff"
                   "a"_kj,
                   "node-\xc3"_kj,
                   "\xc0\xaf"
                   "node"_kj,
                   "\xed\xa0\x80"
                   "abc"_kj,
                   "\xf5\x80\x80\x80"
                   "ab"_kj}) {
    CHECK(with(bad).get<AnnounceError>() == AnnounceError{Kind::UTF8});
  }
  auto packet = encoded(sample());
  packet[AT_FIRST_SERVICE + 1] = 0xff;
  CHECK(decodeError(packet) == AnnounceError{Kind::UTF8});
}

TEST_CASE("the first fault in field order wins") {
  auto packet = encoded(sample());
  packet[AT_FIRST_SERVICE] = 0;
  packet[AT_COUNT] = 17;
  CHECK(decodeError(packet).field == "service count");
  packet[AT_ID] = 0xff;
  CHECK(decodeError(packet).kind == Kind::UTF8);
  packet[AT_ID_LENGTH] = 0;
  CHECK(decodeError(packet).field == "device_id length");
  packet[AT_VERSION] = 2;
  CHECK(decodeError(packet).kind == Kind::UNSUPPORTED_VERSION);
  packet[0] = 'X';
  CHECK(decodeError(packet).kind == Kind::BAD_MAGIC);
  CHECK(decodeError(packet.slice(0, 3)).kind == Kind::TRUNCATED);
}

TEST_CASE("bytes after the last service are ignored") {
  kj::Vector<kj::byte> packet;
  packet.addAll(encoded(sample()));
  for (int i = 0; i < 100; i++) packet.add(0xee);
  CHECK(decodeAnnounce(packet).get<Announce>() == sample());
}

TEST_CASE("the port is big-endian") {
  auto announce = sample();
  announce.sessionPort = 0x0102;
  auto packet = encoded(announce);
  CHECK(packet[AT_PORT] == 1);
  CHECK(packet[AT_PORT + 1] == 2);
}
TEST_CASE("a mesh tag follows the services, where decoders of plain version 1 stop reading") {
  auto plain = encoded(sample());
  auto announce = sample();
  announce.mesh = kj::str("lab");
  auto packet = encoded(announce);
  CHECK(packet.slice(0, plain.size()) == plain);
  CHECK(kj::encodeHex(packet.slice(plain.size(), packet.size())) == "4d455348036c6162");
  CHECK(decodeAnnounce(packet).get<Announce>() == announce);
  CHECK(announce != sample());
  CHECK(announce.clone() == announce);
}

TEST_CASE("a mesh tag is 1 to 64 bytes of UTF-8; cut off, empty or longer it is refused, not ignored") {
  auto announce = sample();
  announce.mesh = kj::str(kj::repeat('m', ANNOUNCE_MAX_NAME + 1));
  CHECK(encodeError(announce) == AnnounceError{Kind::INVALID_INPUT, 0, "mesh tag length"});
  announce.mesh = kj::str("lab");
  auto packet = encoded(announce);
  for (size_t cut = 1; cut <= 4; cut++) {  // with less of it the word MESH is not whole
    CHECK(decodeError(packet.slice(0, packet.size() - cut)) == AnnounceError{Kind::TRUNCATED});
  }
  CHECK(decodeAnnounce(packet.slice(0, packet.size() - 5)).get<Announce>() == sample());
  auto lengthAt = packet.size() - 4;
  for (kj::byte length : {0, 65, 255}) {
    packet[lengthAt] = length;
    CHECK(decodeError(packet) == AnnounceError{Kind::INVALID_INPUT, 0, "mesh tag length"});
  }
  packet[lengthAt] = 3;
  packet[lengthAt + 1] = 0xff;
  CHECK(decodeError(packet) == AnnounceError{Kind::UTF8});
}

}  // namespace
}  // namespace nexus
