// Lives of a fleet, by seed, to look at: what the tests run, with a line for every event if asked for.
//
//   bazel run //tests/sim:fleet -- --seed 7 --trace
//   bazel run //tests/sim:fleet -- --seed 1 --seeds 1000
#include <stdio.h>
#include <time.h>

#include "tests/sim/fleet-command.h"
#include "tests/sim/fleet-scenario.h"

namespace nexus {
namespace {

void tell(const ScenarioResult& r) {
  auto n = [](uint64_t v) { return (unsigned long)v; };
  printf("trace %016lx; calls %lu, executed %lu, ok %lu, denied %lu; streams %lu, refused %lu, ended %lu, bytes %lu\n",
         n(r.traceHash), n(r.calls.attempts), n(r.calls.executed), n(r.calls.ok), n(r.calls.denied),
         n(r.streams.opened), n(r.streams.refused), n(r.streams.ended), n(r.streams.bytes));
  printf("streams whose rule was withdrawn %lu; audit records dropped %lu\n", n(r.streams.withdrawn),
         n(r.auditDropped));
  printf(
      "datagrams %lu, lost %lu, duplicated %lu, late %lu; segments %lu, stalled %lu, flipped %lu, said again %lu, "
      "bytes %lu\n",
      n(r.wire.datagrams), n(r.wire.lost), n(r.wire.duplicated), n(r.wire.reordered), n(r.wire.segments),
      n(r.wire.stalled), n(r.wire.flipped), n(r.wire.replaced), n(r.wire.bytes));
}

int run(const FleetCommand& command) {
  uint64_t failed = 0, events = 0, steps = 0, withdrawn = 0, fullRings = 0;
  kj::Duration longest = 0 * kj::SECONDS, lived = 0 * kj::SECONDS;
  setvbuf(stdout, nullptr, _IOLBF, 0);  // a long run that is stopped has told what it found
  auto began = clock();
  for (auto i : kj::zeroTo(command.seeds)) {
    auto seed = command.seed + i;
    ScenarioOptions options{.seed = seed, .hostile = !command.calm};
    if (command.trace) options.print = [](kj::StringPtr line) { puts(line.cStr()); };
    auto result = runScenario(kj::mv(options));
    events += result.events, steps += result.steps, lived += result.lived;
    longest = kj::max(longest, result.met);
    withdrawn += result.streams.withdrawn, fullRings += result.auditDropped > 0 ? 1 : 0;
    if (command.seeds == 1) tell(result);
    if (result.violations.size() == 0) continue;
    failed++;
    printf("seed %lu:\n", (unsigned long)seed);
    for (auto& violation : result.violations) printf("  %s\n", violation.cStr());
  }
  auto seconds = double(clock() - began) / CLOCKS_PER_SEC;
  auto n = command.seeds;
  printf(
      "%lu seeds, %lu failed; %.1f ms of CPU each, %lu steps and %lu events each, %.0f steps/s; "
      "longest way to meet %.1f s, %.0f s lived each\n",
      (unsigned long)n, (unsigned long)failed, seconds * 1000 / n, (unsigned long)(steps / n),
      (unsigned long)(events / n), steps / seconds, (longest / kj::MILLISECONDS) / 1000.0,
      double(lived / kj::SECONDS) / n);
  printf("%lu streams lost their rule; in %lu lives an audit ring was full\n", (unsigned long)withdrawn,
         (unsigned long)fullRings);
  fflush(stdout);
  if (failed > 0) fprintf(stderr, "invariants were violated\n");
  return failed > 0 ? FLEET_EXIT_VIOLATED : 0;
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  auto args = kj::heapArrayBuilder<kj::StringPtr>(size_t(argc - 1));
  for (int i = 1; i < argc; i++) args.add(argv[i]);
  auto parsed = nexus::parseFleetCommand(args.finish());
  KJ_IF_MAYBE (end, parsed.tryGet<nexus::FleetCommandEnd>()) {
    fputs(end->text.cStr(), end->status == 0 ? stdout : stderr);
    return end->status;
  }
  return nexus::run(parsed.get<nexus::FleetCommand>());
}
