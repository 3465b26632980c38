#include "tools/vmtest/chaos-view.h"

#include <doctest/doctest.h>

#include "tools/vmtest/testing-chaos.h"

namespace nexus::vmtest {
namespace {

TEST_CASE("before anything was broken there is no table") {
  ChaosScene scene;
  CHECK(recoveryTable(scene.chaos()).size() == 0);
}

TEST_CASE("the table has a head, and a row for everything that was broken so far") {
  ChaosScene scene;
  scene.recover(0, 1234, 56);
  scene.recover(1, 4999, 60000);
  auto table = recoveryTable(scene.chaos());
  REQUIRE(table.size() >= 3);
  CHECK(table[0] == "recovery after             back    calls  streams   budget");
  CHECK(table[1] == "kill virtionetd on A     0.02 s   1.23 s   0.05 s   3.00 s");
  CHECK(table[2] == "kill netstackd on A      0.02 s   4.99 s  60.00 s   5.00 s");
}

TEST_CASE("what took longer because the host was busy has a star, and the table says why") {
  ChaosScene scene;
  HeldTime held;
  scene.kill(0);
  held.note(0, 2 * kj::SECONDS);
  scene.state.note(held);
  scene.status(0, "service virtionetd start");
  scene.both("chaos 0 call 4500");
  scene.both("chaos 0 stream 1");
  scene.pass(1 * kj::MILLISECONDS);
  REQUIRE(scene.state.failure() == nullptr);
  auto table = recoveryTable(scene.chaos());
  CHECK(table[1] == "kill virtionetd on A     0.00 s   4.50 s   0.00 s   3.00 s *");
  CHECK(table.back() == "* the host kept the guests waiting meanwhile; that is added to the budget");
}

TEST_CASE("what has not come back yet is a dash, as is the start of a service when the link was cut") {
  ChaosScene scene(ChaosMode::SHORT);
  scene.kill(0);
  CHECK(recoveryLine(scene.chaos(), 0) == "kill virtionetd on A          -        -        -   3.00 s");
  size_t cut = scene.chaos().plan().size() - 1;
  CHECK(recoveryLine(scene.chaos(), cut) == "cut the link for 2 s          -        -        -   3.00 s");
}

TEST_CASE("every row is as long as the head, whatever was broken") {
  ChaosRun all(chaosPlan(ChaosMode::LONG), 4);
  for (size_t i = 0; i < all.plan().size(); i++) CHECK(recoveryLine(all, i).size() == 58);
}

}  // namespace
}  // namespace nexus::vmtest
