#include "tools/vmtest/status-agreement.h"

#include <doctest/doctest.h>

namespace nexus::vmtest {
namespace {

TEST_CASE("a step that both channels report ok agrees") {
  StatusAgreement a;
  a.onConsole("net-iface", true);
  a.onStatus("net-iface", true);
  CHECK(a.disagreements(true).size() == 0);
}

TEST_CASE("a step that only one channel reports counts once the guest is done, and not before") {
  StatusAgreement a;
  a.onConsole("net-iface", true);
  a.onStatus("net-ping", true);
  CHECK(a.disagreements(false).size() == 0);
  auto all = a.disagreements(true);
  REQUIRE(all.size() == 2);
  CHECK(all[0] == "step net-iface: the console says ok, the status channel says nothing");
  CHECK(all[1] == "step net-ping: the console says nothing, the status channel says ok");
}

TEST_CASE("a step that is told differently counts at once") {
  StatusAgreement a;
  a.onConsole("net-iface", true);
  a.onStatus("net-iface", false);
  REQUIRE(a.disagreements(false).size() == 1);
  CHECK(a.disagreements(false)[0] == "step net-iface: the console says ok, the status channel says FAIL");
}

TEST_CASE("a step that failed once cannot be made good by a later ok") {
  StatusAgreement a;
  a.onConsole("x", true);
  a.onStatus("x", false);
  a.onStatus("x", true);
  CHECK(a.disagreements(false).size() == 1);
}

TEST_CASE("the number of steps is bounded and one too many is noticed") {
  StatusAgreement a;
  for (size_t i = 0; i < StatusAgreement::STEPS_MAX; i++) a.onStatus(kj::str("step-", i), true);
  CHECK(!a.overflow());
  a.onStatus("step-0", true);
  CHECK(!a.overflow());
  a.onStatus("one-more", true);
  CHECK(a.overflow());
  CHECK(a.disagreements(true).size() == StatusAgreement::STEPS_MAX);
}

}  // namespace
}  // namespace nexus::vmtest
