#include "tests/sim/fleet-command.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <string.h>

namespace nexus {
namespace {

auto parse(std::initializer_list<kj::StringPtr> args) {
  return parseFleetCommand(kj::arrayPtr(args.begin(), args.size()));
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

TEST_CASE("a line without options is seed 1, once; every option is taken") {
  auto plain = parse({});
  REQUIRE(plain.is<FleetCommand>());
  CHECK(plain.get<FleetCommand>().seed == 1);
  CHECK(plain.get<FleetCommand>().seeds == 1);
  CHECK_FALSE(plain.get<FleetCommand>().trace);
  auto all = parse({"--seed", "7", "--seeds=20", "--trace", "--calm"});
  REQUIRE(all.is<FleetCommand>());
  CHECK(all.get<FleetCommand>().seed == 7);
  CHECK(all.get<FleetCommand>().seeds == 20);
  CHECK(all.get<FleetCommand>().trace);
  CHECK(all.get<FleetCommand>().calm);
  CHECK(parse({"--seed", "18446744073709551615"}).get<FleetCommand>().seed == ~uint64_t(0));
}

TEST_CASE("a seed that is no number, an unknown option and a missing value end with 2, what is wrong, and the usage") {
  struct {
    std::initializer_list<kj::StringPtr> args;
    kj::StringPtr what;
  } lines[] = {
      {{"--seed", "x"}, "\"x\" is no whole number"},
      {{"--seed", "-1"}, "\"-1\" is no whole number"},
      {{"--seed", "7x"}, "\"7x\" is no whole number"},
      {{"--seed", "0x7"}, "\"0x7\" is no whole number"},
      {{"--seed", "18446744073709551616"}, "is no whole number"},
      {{"--seed", ""}, "is no whole number"},
      {{"--seeds", "1.5"}, "\"1.5\" is no whole number"},
      {{"--seeds", "0"}, "at least 1"},
      {{"--seed"}, "--seed"},
      {{"--wat"}, "--wat"},
      {{"7"}, "7"},
  };
  for (auto& line : lines) {
    auto parsed = parse(line.args);
    CAPTURE(line.what);
    REQUIRE(parsed.is<FleetCommandEnd>());
    auto& end = parsed.get<FleetCommandEnd>();
    CHECK(end.status == 2);
    CHECK(contains(end.text, line.what));
    CHECK(contains(end.text, "Usage: fleet"));
    CHECK(contains(end.text, "--seeds"));
  }
}

TEST_CASE("help is no mistake") {
  auto parsed = parse({"--help"});
  REQUIRE(parsed.is<FleetCommandEnd>());
  CHECK(parsed.get<FleetCommandEnd>().status == 0);
  CHECK(contains(parsed.get<FleetCommandEnd>().text, "Usage: fleet"));
}

}  // namespace
}  // namespace nexus
