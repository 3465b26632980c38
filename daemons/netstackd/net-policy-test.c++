#include "daemons/netstackd/net-policy.h"

#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

#include <string>

namespace nexus {
namespace {

constexpr NetPolicy::Action ACTIONS[] = {NetPolicy::Action::CONNECT, NetPolicy::Action::LISTEN,
                                         NetPolicy::Action::UDP_BIND, NetPolicy::Action::UDP_SEND};

SocketAddress at(kj::StringPtr text) {
  return KJ_ASSERT_NONNULL(SocketAddress::tryParse(text));
}
NetPolicy::Rule rule(kj::StringPtr text) {
  return KJ_ASSERT_NONNULL(NetPolicy::Rule::tryParse(text), text);
}

// Targets of every family and kind.
constexpr kj::StringPtr TARGETS[] = {"*:0"_kj,
                                     "*:53"_kj,
                                     "10.42.0.10:34567"_kj,
                                     "10.42.0.255:37020"_kj,
                                     "239.42.0.1:37020"_kj,
                                     "127.0.0.1:1"_kj,
                                     "255.255.255.255:67"_kj,
                                     "[fd00::1]:53"_kj,
                                     "[ff02::1]:1"_kj};

void expectNothing(const NetPolicy& policy) {
  for (auto action : ACTIONS) {
    for (auto target : TARGETS) {
      CAPTURE(static_cast<int>(action));
      INFO(std::string(target.cStr()));
      CHECK_FALSE(policy.allows(action, at(target)));
    }
  }
  CHECK_FALSE(policy.allowsIcmpEcho());
  CHECK_FALSE(policy.allowsMint());
}

TEST_CASE("an empty policy denies every action to every target, whichever way it was made") {
  capnp::MallocMessageBuilder message;
  expectNothing(NetPolicy());
  expectNothing(NetPolicy::fromIdl(message.initRoot<idl::NetPolicy>()));
  expectNothing(NetPolicy::fromConfig(message.initRoot<config::Netstackd::Export>()));
  expectNothing(NetPolicy::allowEverything().restrictedBy(NetPolicy()));
  expectNothing(NetPolicy().restrictedBy(NetPolicy::allowEverything()));
}

TEST_CASE("the policy of the full export allows every action to every target") {
  auto policy = NetPolicy::allowEverything();
  for (auto action : ACTIONS) {
    for (auto target : TARGETS) CHECK(policy.allows(action, at(target)));
  }
  CHECK(policy.allowsIcmpEcho());
  CHECK(policy.allowsMint());
}

TEST_CASE("a rule text names a network and a port range") {
  CHECK(rule("10.42.0.0/24:34567-34568") == NetPolicy::Rule{IpAddress::v4(10, 42, 0, 0), 24, 34567, 34568});
  CHECK(rule("10.0.2.2:53") == NetPolicy::Rule{IpAddress::v4(10, 0, 2, 2), 32, 53, 53});
  CHECK(rule("*:*") == NetPolicy::Rule{IpAddress(), 0, 0, 65535});
  CHECK(rule("*:37020").firstPort == 37020);
  CHECK(rule("[fd00::/8]:*").prefixLength == 8);
  CHECK(rule("[fd00::1]:53").prefixLength == 128);
  for (kj::StringPtr bad : {""_kj,
                            ":"_kj,
                            "*"_kj,
                            "*:"_kj,
                            ":53"_kj,
                            "10.0.2.2"_kj,
                            "10.0.2.2:"_kj,
                            "10.0.2:53"_kj,
                            "10.0.2.2/33:53"_kj,
                            "10.0.2.2/:53"_kj,
                            "10.0.2.2/-1:53"_kj,
                            "*/0:53"_kj,
                            "10.0.2.2:65536"_kj,
                            "10.0.2.2:7-6"_kj,
                            "10.0.2.2:7-"_kj,
                            "10.0.2.2:-7"_kj,
                            "10.0.2.2:7-8-9"_kj,
                            "10.0.2.2: 7"_kj,
                            "fd00::1:53"_kj,
                            "[10.0.2.2]:53"_kj,
                            "[*]:53"_kj,
                            "[fd00::/129]:53"_kj,
                            "localhost:53"_kj}) {
    INFO(std::string(bad.cStr()));
    CHECK(NetPolicy::Rule::tryParse(bad) == nullptr);
  }
}

TEST_CASE("a rule matches its network and its ports, edges included, and nothing beside them") {
  auto r = rule("10.42.0.0/24:34567-34568");
  CHECK(r.matches(at("10.42.0.0:34567")));
  CHECK(r.matches(at("10.42.0.255:34568")));
  CHECK_FALSE(r.matches(at("10.42.1.0:34567")));
  CHECK_FALSE(r.matches(at("10.41.255.255:34567")));
  CHECK_FALSE(r.matches(at("10.42.0.1:34566")));
  CHECK_FALSE(r.matches(at("10.42.0.1:34569")));
  CHECK_FALSE(r.matches(at("[fd00::1]:34567")));
}

TEST_CASE("listening on every address needs a rule for every address; a port of the stack's choice a range from 0") {
  CHECK_FALSE(rule("0.0.0.0/0:80").matches(at("*:80")));
  CHECK(rule("*:80").matches(at("*:80")));
  CHECK_FALSE(rule("*:1-65535").matches(at("*:0")));
  CHECK(rule("*:*").matches(at("*:0")));
}

TEST_CASE("each list of a configured export is for its own action") {
  for (auto granted : ACTIONS) {
    capnp::MallocMessageBuilder message;
    auto e = message.initRoot<config::Netstackd::Export>();
    switch (granted) {
      case NetPolicy::Action::CONNECT:
        e.initConnect(1).set(0, "10.0.2.2:53");
        break;
      case NetPolicy::Action::LISTEN:
        e.initListen(1).set(0, "10.0.2.2:53");
        break;
      case NetPolicy::Action::UDP_BIND:
        e.initUdpBind(1).set(0, "10.0.2.2:53");
        break;
      case NetPolicy::Action::UDP_SEND:
        e.initUdpSend(1).set(0, "10.0.2.2:53");
        break;
    }
    auto policy = NetPolicy::fromConfig(e);
    for (auto action : ACTIONS) CHECK(policy.allows(action, at("10.0.2.2:53")) == (action == granted));
  }
}

TEST_CASE("restricting can only narrow, in whatever order") {
  capnp::MallocMessageBuilder first, second;
  auto a = first.initRoot<config::Netstackd::Export>();
  a.initConnect(1).set(0, "10.42.0.0/24:*");
  auto b = second.initRoot<config::Netstackd::Export>();
  b.initConnect(2).set(0, "10.42.0.10:1-100");
  b.getConnect().set(1, "10.99.0.0/16:*");
  b.setMint(true);
  for (auto& both :
       {NetPolicy::fromConfig(a).restrictedBy(NetPolicy::fromConfig(b)),
        NetPolicy::fromConfig(b).restrictedBy(NetPolicy::fromConfig(a)),
        NetPolicy::fromConfig(a).restrictedBy(NetPolicy::fromConfig(b)).restrictedBy(NetPolicy::allowEverything())}) {
    CHECK(both.allows(NetPolicy::Action::CONNECT, at("10.42.0.10:100")));
    CHECK_FALSE(both.allows(NetPolicy::Action::CONNECT, at("10.42.0.10:101")));
    CHECK_FALSE(both.allows(NetPolicy::Action::CONNECT, at("10.42.0.11:1")));
    CHECK_FALSE(both.allows(NetPolicy::Action::CONNECT, at("10.99.0.1:1")));
    CHECK_FALSE(both.allowsMint());
  }
}

TEST_CASE("malformed rules in a request are FAILED, never a guess") {
  auto tryRule = [](kj::byte prefix, uint16_t first, uint16_t last, kj::ArrayPtr<const kj::byte> address) {
    capnp::MallocMessageBuilder message;
    auto r = message.initRoot<idl::NetPolicy>().initConnect(1)[0];
    r.initAddress().setV4(address);
    r.setPrefixLength(prefix), r.setFirstPort(first), r.setLastPort(last);
    NetPolicy::fromIdl(message.getRoot<idl::NetPolicy>().asReader());
  };
  kj::byte address[] = {10, 0, 0, 1, 0};
  tryRule(32, 1, 2, kj::arrayPtr(address, 4));
  CHECK_THROWS_AS(tryRule(33, 1, 2, kj::arrayPtr(address, 4)), kj::Exception);
  CHECK_THROWS_AS(tryRule(32, 2, 1, kj::arrayPtr(address, 4)), kj::Exception);
  CHECK_THROWS_AS(tryRule(24, 1, 2, kj::arrayPtr(address, 3)), kj::Exception);
  CHECK_THROWS_AS(tryRule(24, 1, 2, kj::arrayPtr(address, 5)), kj::Exception);

  capnp::MallocMessageBuilder any;
  auto r = any.initRoot<idl::NetPolicy>().initConnect(1)[0];
  r.initAddress().setAny();
  r.setPrefixLength(1);
  CHECK_THROWS_AS(NetPolicy::fromIdl(any.getRoot<idl::NetPolicy>().asReader()), kj::Exception);
}

TEST_CASE("rules and layers have a bound") {
  capnp::MallocMessageBuilder fits, above;
  for (auto r : fits.initRoot<idl::NetPolicy>().initConnect(NetPolicy::MAX_RULES)) r.initAddress().setAny();
  for (auto r : above.initRoot<idl::NetPolicy>().initConnect(NetPolicy::MAX_RULES + 1)) r.initAddress().setAny();
  NetPolicy::fromIdl(fits.getRoot<idl::NetPolicy>().asReader());
  CHECK_THROWS_AS(NetPolicy::fromIdl(above.getRoot<idl::NetPolicy>().asReader()), kj::Exception);

  auto policy = NetPolicy::allowEverything();
  for (size_t i = 1; i < NetPolicy::MAX_LAYERS; i++) policy = policy.restrictedBy(NetPolicy::allowEverything());
  CHECK(policy.allowsMint());
  try {
    policy.restrictedBy(NetPolicy::allowEverything());
    FAIL("one layer too many was accepted");
  } catch (const kj::Exception& exception) {
    CHECK(exception.getType() == kj::Exception::Type::OVERLOADED);
  }
}

TEST_CASE("a configured rule that cannot be read is named") {
  capnp::MallocMessageBuilder message;
  auto e = message.initRoot<config::Netstackd::Export>();
  e.setName("net-dsoftbusd");
  e.initListen(1).set(0, "10.0.2.2");
  CHECK_THROWS_WITH_AS(NetPolicy::fromConfig(e), doctest::Contains("10.0.2.2"), kj::Exception);
}

}  // namespace
}  // namespace nexus
