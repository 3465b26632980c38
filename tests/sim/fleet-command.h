#pragma once
// The command line of the replay program: what to run, or what to say instead. Pure.
#include <kj/one-of.h>
#include <kj/string.h>
#include <stdint.h>

namespace nexus {

struct FleetCommand {
  uint64_t seed = 1, seeds = 1;  // this one, and so many from there on
  bool trace = false, calm = false;
};

// What to print and the exit status: 0 for help, 2 for a line that makes no sense, with the usage behind what is wrong.
struct FleetCommandEnd {
  int status;
  kj::String text;
};

constexpr int FLEET_EXIT_VIOLATED = 1, FLEET_EXIT_USAGE = 2;

// args: without the program's name.
kj::OneOf<FleetCommand, FleetCommandEnd> parseFleetCommand(kj::ArrayPtr<const kj::StringPtr> args);

}  // namespace nexus
