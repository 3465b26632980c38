#include "tests/sim/fleet-command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

namespace nexus {

namespace {

// Decimal digits and nothing else: a sign or a fraction is a mistake, not a number to be bent.
std::string checkNumber(std::string& text) {
  bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits && kj::StringPtr(text.c_str()).tryParseAs<uint64_t>() != nullptr) return "";
  return "\"" + text + "\" is no whole number from 0 to 18446744073709551615";
}

}  // namespace

kj::OneOf<FleetCommand, FleetCommandEnd> parseFleetCommand(kj::ArrayPtr<const kj::StringPtr> args) {
  FleetCommand command;
  CLI::App app(
      "Runs the life of a fleet of bus nodes that a seed decides. Exits with 1 when an invariant was violated.",
      "fleet");
  CLI::Validator number(checkNumber, "N");
  app.add_option("--seed", command.seed, "the seed (1)")->transform(number);
  app.add_option("--seeds", command.seeds, "so many seeds from there on (1)")->transform(number);
  app.add_flag("--trace", command.trace, "a line for every event");
  app.add_flag("--calm", command.calm, "no hostile neighbours");
  auto text = [](const std::string& s) { return kj::heapString(s.data(), s.size()); };
  try {
    std::vector<std::string> reversed;
    for (auto i = args.size(); i > 0; i--) reversed.push_back(args[i - 1].cStr());
    app.parse(reversed);
    if (command.seeds == 0) throw CLI::ValidationError("--seeds", "a run of no seed shows nothing: at least 1");
  } catch (const CLI::CallForHelp&) {
    return FleetCommandEnd{0, text(app.help())};
  } catch (const CLI::ParseError& error) {
    return FleetCommandEnd{FLEET_EXIT_USAGE, kj::str("fleet: ", error.what(), "\n\n", text(app.help()))};
  }
  return command;
}

}  // namespace nexus
