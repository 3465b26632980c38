#include "daemons/dsoftbusd/bus-settings.h"

#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

#include <string>

#include "libs/nexus-net-os/daemon/config-loader.h"

namespace nexus {
namespace {

constexpr auto GOOD = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
services = ["samgrd"]
unicastPeers = ["10.0.0.7", "10.0.0.8:4000"]
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
[[dsoftbusd.trust]]
name = "node-c"
deviceId = "0e6e38473bb6404b02defe9695dd5a5dfb98946cb27e8981810785fab2dee38c"
staticKey = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
dial = false
address = "10.0.0.9"
[[dsoftbusd.policy]]
peer = "node-b"
service = "samgrd"
operations = ["resolve-status"]
)"_kj;

using Checked = kj::OneOf<BusSettings, SettingsError>;

Checked check(kj::StringPtr toml) {
  capnp::MallocMessageBuilder message;
  auto wrong = loadConfig("test.toml", toml, "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), message);
  KJ_IF_MAYBE (e, wrong) KJ_FAIL_REQUIRE("the test's TOML is wrong", e->message);
  return checkSettings(message.getRoot<config::Dsoftbusd>().asReader(),
                       [](kj::StringPtr path) -> kj::OneOf<SecretBytes, SettingsError> {
                         if (path == "/good") return SecretBytes(SEED_BYTES);
                         return SettingsError{kj::str("the identity file ", path, " is missing or cannot be read")};
                       },
                       {KJ_ASSERT_NONNULL(tryParseUtc("2026-11-20T12:00:00Z")), kj::origin<kj::TimePoint>()});
}

// GOOD with `from` replaced by `to`.
kj::String changed(const char* from, const char* to) {
  std::string text(GOOD.cStr());
  auto at = text.find(from);
  KJ_REQUIRE(at != std::string::npos, from);
  return kj::str(text.replace(at, strlen(from), to).c_str());
}

void refuses(kj::StringPtr toml, const char* sentence) {
  auto checked = check(toml);
  REQUIRE(checked.is<SettingsError>());
  CAPTURE(checked.get<SettingsError>().sentence.cStr());
  CHECK(strstr(checked.get<SettingsError>().sentence.cStr(), sentence) != nullptr);
}

TEST_CASE("a whole configuration becomes typed settings") {
  auto checked = check(GOOD);
  REQUIRE(checked.is<BusSettings>());
  auto& s = checked.get<BusSettings>();
  CHECK(s.identity.deviceId() == DeviceIdentity::forTest("node-a").deviceId());
  CHECK(s.usesTestKeys);
  CHECK(s.sessionPort == 34567);
  REQUIRE(s.trust.size() == 2);
  CHECK(s.trust[0].dial);
  CHECK_FALSE(s.trust[1].dial);
  CHECK(s.trust[0].address == nullptr);
  CHECK(KJ_ASSERT_NONNULL(s.trust[1].address) == SocketAddress{IpAddress::v4(10, 0, 0, 9), 34567});
  CHECK(s.trust[0].identity.deviceId == DeviceIdentity::forTest("node-b").deviceId());
  CHECK(toHex(s.trust[1].identity.staticKey).startsWith("8520f009"));
  CHECK(s.rules.size() == 1);
  CHECK(s.ratePerSecond == 50);
  CHECK(s.rateBurst == 100);
  auto& announce = s.discovery.announce;
  REQUIRE(announce.groups.size() == 2);
  CHECK(announce.groups[0] == IpAddress::v4(239, 42, 0, 1));
  CHECK(announce.groups[1] == KJ_ASSERT_NONNULL(IpAddress::tryParse("ff02::4e58:5342")));
  REQUIRE(s.links.size() == 1);
  CHECK(s.links[0] == "net");
  CHECK(s.mesh == "");
  REQUIRE(announce.unicastPeers.size() == 2);
  CHECK(announce.unicastPeers[0] == SocketAddress{IpAddress::v4(10, 0, 0, 7), 37020});
  CHECK(announce.unicastPeers[1].port == 4000);
}

TEST_CASE("an identity is either a file or, when that is allowed, a test identity") {
  auto file = changed("testIdentity = \"node-a\"", "identityFile = \"/good\"");
  CHECK(check(file).is<BusSettings>());
  refuses(changed("testIdentity = \"node-a\"", "identityFile = \"/missing\""), "/missing is missing");
  refuses(changed("testIdentity = \"node-a\"", ""), "either identityFile or testIdentity");
  refuses(changed("testIdentity = \"node-a\"", "testIdentity = \"node-a\"\nidentityFile = \"/good\""),
          "either identityFile or testIdentity");
  refuses(changed("allowTestIdentity = true", ""), "needs allowTestIdentity");
}

TEST_CASE("a test identity of a peer needs the permission too, although the node's own key is secret") {
  auto toml = std::string(changed("testIdentity = \"node-a\"", "identityFile = \"/good\"").cStr());
  toml.replace(toml.find("allowTestIdentity = true"), strlen("allowTestIdentity = true"), "");
  refuses(toml.c_str(), "trust entry \"node-b\": testIdentity is a publicly known key");
}

TEST_CASE("a trust entry without a key, with half of one, or with both kinds is refused by name") {
  refuses(changed("staticKey = \"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a\"", ""),
          "trust entry \"node-c\" has no key");
  refuses(changed("staticKey = \"85", "staticKey = \"zz"), "trust entry \"node-c\" has no key");
  refuses(changed("deviceId = \"0e6e", "deviceId = \"0E6E"), "deviceId must be 64 lowercase hexadecimal digits");
  refuses(changed("testIdentity = \"node-b\"", ""), "trust entry \"node-b\": deviceId must be");
  refuses(changed("dial = false", "testIdentity = \"x\""), "give either testIdentity, or deviceId and staticKey");
  refuses(changed("name = \"node-b\"", ""), "needs a name");
}

TEST_CASE("the same peer twice and the node itself are refused") {
  refuses(changed("name = \"node-c\"", "name = \"node-b\""), "two trust entries have the name \"node-b\"");
  refuses(changed("testIdentity = \"node-b\"", "testIdentity = \"node-a\""), "is this node itself");
  auto id = kj::str("deviceId = \"", DeviceIdentity::forTest("node-b").deviceId(), "\"");
  refuses(changed("deviceId = \"0e6e38473bb6404b02defe9695dd5a5dfb98946cb27e8981810785fab2dee38c\"", id.cStr()),
          "are the same device");
}

TEST_CASE("a rule names a peer, a service and operations that there are") {
  refuses(changed("peer = \"node-b\"", "peer = \"node-z\""), "names the peer \"node-z\", which has no trust entry");
  refuses(changed("service = \"samgrd\"", "service = \"keystored\""), "there are: samgrd, bundlemgrd");
  refuses(changed("service = \"samgrd\"", "service = \"stream:\""), "the name of a stream has 1 to 64");
  refuses(changed("service = \"samgrd\"", "service = \"stream:a b\""), "the name of a stream has 1 to 64");
  refuses(changed("service = \"samgrd\"", "service = \"stream:app/sync\""), "must name the operation \"open\"");
  CHECK(check(changed("service = \"samgrd\"\noperations = [\"resolve-status\"]",
                      "service = \"stream:app/sync\"\noperations = [\"open\"]"))
            .is<BusSettings>());
  // What another rule decides about is not let in by the name of a stream.
  for (auto name : {"stream:svc:bundlemgrd/fetch-image", "stream:svc:bundlemgrd/fetch-image#1", "stream:svc:x"}) {
    auto toml = changed("service = \"samgrd\"\noperations = [\"resolve-status\"]",
                        kj::str("service = \"", name, "\"\noperations = [\"open\"]").cStr());
    refuses(toml, "streams of a service are ruled by its name; write service = \"bundlemgrd\"");
  }
  refuses(changed("service = \"samgrd\"\noperations = [\"resolve-status\"]",
                  "service = \"stream:rpc:notes\"\noperations = [\"open\"]"),
          "streams for calls are a service of their own; write service = \"rpc:NAME\"");
  refuses(changed("[\"resolve-status\"]", "[\"register\"]"), "it offers: resolve-status");
  refuses(changed("[\"resolve-status\"]", "[\"*\"]"), "does not offer");
  refuses(changed("[\"resolve-status\"]", "[]"), "names no operation");
}

TEST_CASE("numbers and addresses that make no sense are refused") {
  auto with = [](const char* line) { return changed("services = [\"samgrd\"]", line); };
  refuses(changed("nodeName = \"node-a\"", ""), "nodeName is missing");
  refuses(with("sessionPort = 0"), "must not be 0");
  refuses(with("ratePerSecond = 0"), "ratePerSecond");
  refuses(with("rateBurst = 0"), "rateBurst");
  refuses(with("maxPeers = 0"), "maxPeers");
  refuses(with("announceIntervalMs = 99"), "at least 100");
  refuses(with("announceMaxMs = 500"), "announceMaxMs is below");
  refuses(with("peerTtlMs = 15000"), "peerTtlMs must be above");
  refuses(with("multicastGroup = \"10.0.0.1\""), "is no IPv4 multicast address");
  refuses(changed("\"10.0.0.7\"", "\"somewhere\""), "\"somewhere\" is no address");
  refuses(changed("\"10.0.0.7\"", "\"10.0.0.7:0\""), "is no address");
  refuses(with("services = [\"\"]"), "1 to 64 bytes");
  CHECK(check(with("multicastGroup = \"\"")).is<BusSettings>());
}

TEST_CASE("the tables are bounded") {
  auto toml = kj::str(GOOD);
  for (size_t i = 2; i < 64; i++)
    toml = kj::str(toml, "[[dsoftbusd.trust]]\nname = \"p", i, "\"\ntestIdentity = \"p", i, "\"\n");
  CHECK(check(toml).is<BusSettings>());
  refuses(kj::str(toml, "[[dsoftbusd.trust]]\nname = \"one-more\"\ntestIdentity = \"one-more\"\n"),
          "at most 64 trust entries");
}

TEST_CASE("the policy and the candidate have 4096 rules each and not one more") {
  for (auto table : {"policy", "candidate"}) {
    auto rule = kj::str("[[dsoftbusd.", table, "]]\npeer = \"node-b\"\nservice = \"samgrd\"\n",
                        "operations = [\"resolve-status\"]\n");
    size_t there = table == "policy"_kj ? 1 : 0;  // in GOOD
    auto most = kj::str(GOOD, kj::strArray(kj::repeat(rule.asPtr(), 4096 - there), ""));
    CHECK(check(most).is<BusSettings>());
    refuses(kj::str(most, rule), "at most 4096 policy rules");
  }
}

TEST_CASE("the address of a trust entry is one host, with or without a port") {
  auto checked = check(changed("\"10.0.0.9\"", "\"[fe80::2]:34568\""));
  REQUIRE(checked.is<BusSettings>());
  CHECK(kj::str(KJ_ASSERT_NONNULL(checked.get<BusSettings>().trust[1].address)) == "[fe80::2]:34568");
  for (auto wrong : {"\"node-c\"", "\"*:34567\"", "\"10.0.0.9:0\"", "\"239.42.0.1\"", "\"10.0.0.9:34567x\""}) {
    refuses(changed("\"10.0.0.9\"", wrong), "trust entry \"node-c\": address \"");
  }
}

TEST_CASE("mesh, links and groups are taken as they are written, and refused where they make no sense") {
  auto with = [](kj::StringPtr lines) { return changed("services =", kj::str(lines, "\nservices =").cStr()); };
  auto checked = check(with("mesh = \"lab\"\nlinks = [\"net\", \"net2\"]\nmulticastGroup6 = \"\""));
  REQUIRE(checked.is<BusSettings>());
  auto& s = checked.get<BusSettings>();
  CHECK(s.mesh == "lab");
  CHECK(kj::strArray(s.links, " ") == "net net2");
  CHECK(s.discovery.announce.groups.size() == 1);
  refuses(with(kj::str("mesh = \"", kj::repeat('m', 65), "\"")), "mesh has at most 64 bytes");
  refuses(with("links = []"), "links is empty");
  refuses(with("links = [\"net\", \"net\"]"), "\"net\" is there twice");
  refuses(with("links = [\"\"]"), "a name of an imported network is empty");
  refuses(with("links = [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"), "at most 8 links");
  refuses(with("multicastGroup6 = \"239.42.0.1\""), "multicastGroup6 \"239.42.0.1\" is no IPv6 multicast address");
  refuses(with("multicastGroup6 = \"fe80::1\""), "is no IPv6 multicast address");
  refuses(with("multicastGroup = \"ff02::1\""), "multicastGroup \"ff02::1\" is no IPv4 multicast address");
}

TEST_CASE("a candidate is checked as the policy is; present and empty is another thing than absent") {
  CHECK(check(GOOD).get<BusSettings>().candidate == nullptr);
  auto empty = check(changed("services", "candidate = []\nservices"));
  CHECK(KJ_ASSERT_NONNULL(empty.get<BusSettings>().candidate).size() == 0);
  auto rule = [](kj::StringPtr operation) {
    return kj::str(GOOD, "[[dsoftbusd.candidate]]\npeer = \"node-c\"\nservice = \"samgrd\"\noperations = [\"",
                   operation, "\"]\n");
  };
  auto good = check(rule("resolve-status"));
  CHECK(KJ_ASSERT_NONNULL(good.get<BusSettings>().candidate)[0].peer == "node-c");
  CHECK(good.get<BusSettings>().rules.size() == 1);
  refuses(rule("register"), "does not offer to other nodes");
}

TEST_CASE("the bounds of the audit file are taken at the bound and refused beyond") {
  auto with = [](kj::StringPtr line) { return changed("services", kj::str(line, "\nservices").cStr()); };
  for (auto line :
       {"auditFileMaxBytes = 65536", "auditFileMaxBytes = 1073741824", "auditFilesKept = 1", "auditFilesKept = 99"}) {
    CHECK(check(with(line)).is<BusSettings>());
  }
  for (auto line : {"auditFileMaxBytes = 65535", "auditFileMaxBytes = 1073741825"}) {
    refuses(with(line), "auditFileMaxBytes must be 65536 to 1073741824");
  }
  for (auto line : {"auditFilesKept = 0", "auditFilesKept = 100"})
    refuses(with(line), "auditFilesKept must be 1 to 99");
}

}  // namespace
}  // namespace nexus
