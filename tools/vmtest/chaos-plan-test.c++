#include "tools/vmtest/chaos-plan.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <set>
#include <string>

#include "daemons/initd/service.h"

namespace nexus::vmtest {
namespace {

TEST_CASE("every daemon of a guest is killed on both nodes, and nothing else") {
  std::set<std::string> daemons, killed[2];
  for (auto& service : KJ_ASSERT_NONNULL(tryFindServices("os2vm"))) {
    if (!service.oneShot) daemons.insert(service.name.cStr());
  }
  for (auto& event : chaosPlan(ChaosMode::KILLS)) {
    CHECK((event.kind == ChaosEvent::Kind::KILL));
    CHECK(killed[event.node].insert(event.service.cStr()).second);
  }
  CHECK(killed[0] == daemons);
  CHECK(killed[1] == daemons);
}

TEST_CASE("the plan is the same every time; cuts come last, and the long one outlives the keep-alive") {
  CHECK(chaosPlan(ChaosMode::OFF).size() == 0);
  auto plan = chaosPlan(ChaosMode::LONG), again = chaosPlan(ChaosMode::LONG);
  REQUIRE(plan.size() == 2 * chaosServices().size() + 2);
  for (size_t i = 0; i < plan.size(); i++) CHECK(plan[i].text() == again[i].text());
  CHECK(plan[0].text() == "kill virtionetd on A");
  CHECK(plan[plan.size() - 2].text() == "cut the link for 2 s");
  CHECK(plan.back().cut > 9 * kj::SECONDS);
  CHECK(chaosPlan(ChaosMode::SHORT).size() == plan.size() - 1);
}

}  // namespace
}  // namespace nexus::vmtest
