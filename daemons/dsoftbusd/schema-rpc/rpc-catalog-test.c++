#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-test.capnp.h"

namespace nexus {
namespace {

RpcService gauge(kj::ArrayPtr<const kj::StringPtr> only = nullptr) {
  auto described = RpcService::describe("gauge", "gauge-import", capnp::Schema::from<idl::Gauge>(), only);
  KJ_IF_MAYBE (wrong, described.tryGet<kj::String>()) KJ_FAIL_REQUIRE(*wrong);
  return kj::mv(described.get<RpcService>());
}

RpcCatalog catalog() {
  auto services = kj::heapArrayBuilder<RpcService>(2);
  services.add(gauge());
  auto named = RpcService::describe("named", "gauge", capnp::Schema::from<idl::Named>());
  services.add(kj::mv(named.get<RpcService>()));
  return RpcCatalog(services.finish());
}

kj::String check(const RpcCatalog& catalog, kj::StringPtr service, std::initializer_list<kj::StringPtr> operations) {
  return catalog.checkRule(service, kj::ArrayPtr<const kj::StringPtr>(operations.begin(), operations.size()))
      .orDefault(kj::str("fine"));
}

TEST_CASE("the name of a service is 1 to 40 characters of a small alphabet") {
  auto is = [](kj::StringPtr name) { return isRpcServiceName(name.asArray()); };
  CHECK(is("a"));
  CHECK(is("notes-2.b_c"));
  CHECK(is(kj::str(kj::repeat('x', 40))));
  CHECK(!is(kj::str(kj::repeat('x', 41))));
  for (auto name : {"", "A", "a b", "a#", "a/b", "a:b", "\xc3\xa9", "a\n"}) {
    CAPTURE(name);
    CHECK(!is(name));
  }
  const char zero[] = {'a', 0, 'b'};
  CHECK(!isRpcServiceName(kj::arrayPtr(zero, 3)));
}

TEST_CASE("a service has its own and its inherited methods, each with the interface and ordinal that calls it") {
  auto service = gauge();
  CHECK(service.name() == "gauge");
  CHECK(service.policyName() == "rpc:gauge");
  CHECK(service.import() == "gauge-import");
  CHECK(service.methods().size() == 13);
  auto& echo = KJ_ASSERT_NONNULL(service.find("echo"));
  CHECK(echo.interfaceId == capnp::typeId<idl::Gauge>());
  CHECK(echo.ordinal == 0);
  CHECK(echo.withheld == nullptr);
  auto& name = KJ_ASSERT_NONNULL(service.find("name"));
  CHECK(name.interfaceId == capnp::typeId<idl::Named>());
  CHECK(KJ_ASSERT_NONNULL(service.find(capnp::typeId<idl::Named>(), 0)).name == "name");
  CHECK(service.find(capnp::typeId<idl::Named>(), 1) == nullptr);
  CHECK(service.find(capnp::typeId<idl::Gauge>(), 12) == nullptr);
  CHECK(service.find(1, 0) == nullptr);
  CHECK(service.find("(open)") == nullptr);
}

TEST_CASE("a method that can hold a capability is withheld with the field; one that is not named, for that") {
  auto service = gauge();
  auto withheld = [&](kj::StringPtr method) {
    return KJ_ASSERT_NONNULL(service.find(method))
        .withheld.map([](const kj::String& s) { return kj::str(s); })
        .orDefault(kj::str("no"));
  };
  CHECK(withheld("take") == "its parameters can hold a capability (gauge, an interface)");
  CHECK(withheld("give") == "its results can hold a capability (gauge, an interface)");
  CHECK(withheld("takeDeep") == "its parameters can hold a capability (list.value, an interface)");
  CHECK(withheld("add") == "no");  // -> stream
  CHECK(service.offered() == "echo, grow, hang, fail, add, sum, sneak, name");

  kj::StringPtr only[] = {"echo", "take"};
  auto narrow = gauge(only);
  CHECK(narrow.offered() == "echo");
  CHECK(KJ_ASSERT_NONNULL(narrow.find("name"))
            .withheld.map([](const kj::String& s) { return kj::str(s); })
            .orDefault(nullptr) == "the service keeps it to its own node");
  kj::StringPtr none[] = {"take"};
  CHECK(gauge(none).offered() == "nothing");
}

TEST_CASE("a copy says what the original says") {
  auto original = catalog();
  auto copy = original.clone();
  CHECK(copy.names() == "rpc:gauge, rpc:named");
  auto& service = KJ_ASSERT_NONNULL(copy.find("gauge"));
  CHECK(service.offered() == gauge().offered());
  CHECK(service.import() == "gauge-import");
  CHECK(KJ_ASSERT_NONNULL(service.find("take")).withheld != nullptr);
}

TEST_CASE("a service is found by its name, and by the name of rules about it only with the prefix") {
  auto all = catalog();
  CHECK(all.find("gauge") != nullptr);
  CHECK(all.find("rpc:gauge") == nullptr);
  CHECK(all.findPolicyName("rpc:gauge") != nullptr);
  CHECK(all.findPolicyName("gauge") == nullptr);
  CHECK(all.findPolicyName("rpc:") == nullptr);
  CHECK(all.findPolicyName("rpc:other") == nullptr);
}

TEST_CASE("a rule that makes no sense is refused with the sentence that helps") {
  auto all = catalog();
  CHECK(check(all, "rpc:gauge", {"echo", "name"}) == "fine");
  CHECK(check(all, "rpc:gauge", {}) == "names no method of rpc:gauge");
  CHECK(check(all, "rpc:named", {"echo"}) ==
        "names the method \"echo\", which rpc:named does not have; it offers: name");
  CHECK(check(all, "rpc:gauge", {"echo", "take"}) ==
        "names the method \"take\" of rpc:gauge, which cannot be offered to other nodes: its parameters can hold a "
        "capability (gauge, an interface); it offers: echo, grow, hang, fail, add, sum, sneak, name");
  CHECK(check(all, "rpc:gauge", {"(open)"}) ==
        "names the method \"(open)\", which rpc:gauge does not have; it offers: "
        "echo, grow, hang, fail, add, sum, sneak, name");
  CHECK(check(all, "rpc:notes", {"get"}) ==
        "names the service \"rpc:notes\", which no [[dsoftbusd.offers]] entry offers; there are: rpc:gauge, rpc:named");
  CHECK(check(RpcCatalog(), "rpc:notes", {"get"}) ==
        "names the service \"rpc:notes\", but no [[dsoftbusd.offers]] entry offers any");
}

}  // namespace
}  // namespace nexus
