#include "daemons/dsoftbusd/trust/paired-peers.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/base/utc.h"

namespace nexus {
namespace {

TrustedPeer peer(kj::StringPtr name, kj::StringPtr identity) {
  return {kj::str(name), DeviceIdentity::forTest(identity).publicIdentity()};
}

kj::Array<TrustedPeer> parsed(kj::StringPtr text) {
  auto result = parsePairedPeers(text);
  KJ_IF_MAYBE (wrong, result.tryGet<kj::String>()) KJ_FAIL_REQUIRE("refused", *wrong);
  return kj::mv(result.get<kj::Array<TrustedPeer>>());
}

kj::String refusal(kj::StringPtr text) {
  auto result = parsePairedPeers(text);
  return result.is<kj::String>() ? kj::mv(result.get<kj::String>()) : kj::str("taken");
}

TEST_CASE("what was encoded is parsed again, byte for byte") {
  auto peers = kj::arr(peer("node-a", "a"), peer("B_2.x", "b"));
  auto text = encodePairedPeers(peers);
  auto a = DeviceIdentity::forTest("a").publicIdentity(), b = DeviceIdentity::forTest("b").publicIdentity();
  CHECK(text == kj::str("nexus-net paired peers 1\nnode-a ", a.deviceId, ' ', toHex(a.staticKey), "\nB_2.x ",
                        b.deviceId, ' ', toHex(b.staticKey), '\n'));
  auto again = parsed(text);
  REQUIRE(again.size() == 2);
  CHECK(again[1].name == "B_2.x");
  CHECK(again[1].paired);
  CHECK(again[1].accepts(b));
  CHECK(encodePairedPeers(again) == text);
  CHECK(parsed(encodePairedPeers(nullptr)).size() == 0);
}

TEST_CASE("an address stands behind the key, as it is written and of one host") {
  auto known = peer("node-a", "a");
  known.address = SocketAddress{KJ_ASSERT_NONNULL(IpAddress::tryParse("fe80::2")), 34567};
  auto text = encodePairedPeers(kj::arrayPtr(&known, 1));
  CHECK(text.endsWith(" [fe80::2]:34567\n"));
  auto again = parsed(text);
  CHECK(KJ_ASSERT_NONNULL(again[0].address) == KJ_ASSERT_NONNULL(known.address));
  CHECK(encodePairedPeers(again) == text);
  auto line = kj::str(text.slice(0, text.size() - strlen("[fe80::2]:34567\n")));
  for (auto wrong : {"", "10.0.0.2", "10.0.0.2:0", "*:34567", "239.42.0.1:34567", "10.0.0.2:034567", "10.0.0.2:1 x"}) {
    CAPTURE(wrong);
    CHECK(refusal(kj::str(line, wrong, "\n")).startsWith("line 2"));
  }
}

TEST_CASE("a previous key stands behind the entry, with or without an address, until a time to the second") {
  auto b = DeviceIdentity::forTest("b").publicIdentity();
  auto until = KJ_ASSERT_NONNULL(tryParseUtc("2026-12-01T00:00:00Z"));
  for (bool addressed : {false, true}) {
    auto known = peer("node-a", "a");
    if (addressed) known.address = SocketAddress{IpAddress::v4(10, 0, 0, 2), 34567};
    known.previous = PreviousIdentity{b.clone(), kj::origin<kj::TimePoint>(), until};
    auto text = encodePairedPeers(kj::arrayPtr(&known, 1));
    CHECK(text.startsWith("nexus-net paired peers 2\n"));
    auto tail = kj::str(" previous ", b.deviceId, ' ', toHex(b.staticKey), " 2026-12-01T00:00:00Z\n");
    REQUIRE(text.endsWith(tail));
    auto again = parsed(text);
    CHECK(KJ_ASSERT_NONNULL(again[0].previous).untilUtc == until);
    CHECK(again[0].accepts(b));
    CHECK((again[0].address != nullptr) == addressed);
    CHECK(encodePairedPeers(again) == text);
    // Only under the heading that announces it, and only whole.
    auto line = kj::str(text.slice(strlen("nexus-net paired peers 2\n")));
    CHECK(refusal(kj::str("nexus-net paired peers 1\n", line)).startsWith("line 2"));
    auto front = kj::str(text.slice(0, text.size() - tail.size()));
    auto a = DeviceIdentity::forTest("a").publicIdentity();
    for (auto& wrong : {kj::str(" previous ", b.deviceId, ' ', toHex(b.staticKey)),
                        kj::str(" former ", b.deviceId, ' ', toHex(b.staticKey), " 2026-12-01T00:00:00Z"),
                        kj::str(" previous ", b.deviceId, ' ', toHex(b.staticKey), " 2026-12-01"),
                        kj::str(" previous ", a.deviceId, ' ', toHex(b.staticKey), " 2026-12-01T00:00:00Z"),
                        kj::str(" previous ", b.deviceId, "  2026-12-01T00:00:00Z")}) {
      CAPTURE(wrong.cStr());
      CHECK(refusal(kj::str(front, wrong, "\n")).startsWith("line 2"));
    }
    // What it was known by is no other peer's.
    auto other = peer("node-b", "b");
    CHECK(refusal(kj::str(text, "node-b ", other.identity.deviceId, ' ', toHex(other.identity.staticKey), "\n")) ==
          "line 3: that device is there twice");
  }
}

TEST_CASE("whatever is cut or changed is refused with its line") {
  auto text = encodePairedPeers(kj::arr(peer("node-a", "a"), peer("node-b", "b")));
  for (size_t size = 0; size < text.size(); size++) {
    CAPTURE(size);
    bool lineEnd = size > 0 && text[size - 1] == '\n';
    CHECK(parsePairedPeers(kj::heapString(text.begin(), size)).is<kj::String>() == !lineEnd);
  }
  CHECK(refusal("nexus-net paired peers 3\n").startsWith("line 1"));
  CHECK(refusal("nexus-net paired peers 2\n").startsWith("line 1 speaks of previous keys"));
  CHECK(refusal("").startsWith("line 1"));
  auto twice = kj::arr(peer("node-a", "a"), peer("node-a", "b"));
  CHECK(refusal(encodePairedPeers(twice)) == "line 3: there is another peer of that name");
  auto same = kj::arr(peer("node-a", "a"), peer("node-b", "a"));
  CHECK(refusal(encodePairedPeers(same)) == "line 3: that device is there twice");
  CHECK(refusal(kj::str(text, "\n")).startsWith("line 4"));
  CHECK(refusal(kj::str(text, "x y z\n")).startsWith("line 4"));
}

TEST_CASE("a file holds 1024 peers and not one more") {
  kj::Vector<TrustedPeer> peers;
  auto key = DeviceIdentity::forTest("a").publicIdentity().staticKey;
  for (size_t i = 0; i <= MAX_PAIRED_PEERS; i++) {
    KeyBytes id{};
    id[0] = kj::byte(i), id[1] = kj::byte(i >> 8);
    peers.add(TrustedPeer{kj::str("p", i), PublicIdentity{toHex(id), key}});
  }
  CHECK(parsed(encodePairedPeers(peers.asPtr().slice(0, MAX_PAIRED_PEERS))).size() == MAX_PAIRED_PEERS);
  CHECK(refusal(encodePairedPeers(peers)) == "more than 1024 peers");
}

TEST_CASE("a name with anything in it that a line or a shell could take for something else is no name") {
  for (auto name : {"a", "node-a", "N_0.x"}) CHECK(isPlainPeerName(name));
  for (auto name : {"", "a b", "a\n", "a\"", "\xc3\xa4", "a/b"}) CHECK_FALSE(isPlainPeerName(name));
  CHECK_FALSE(isPlainPeerName(kj::str(kj::repeat('a', 65))));
}

}  // namespace
}  // namespace nexus
