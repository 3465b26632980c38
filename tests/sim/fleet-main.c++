// Lives of a fleet, by seed, to look at: what the tests run, with a line for every event if asked for.
//
//   bazel run //tests/sim:fleet -- --seed 7 --trace
//   bazel run //tests/sim:fleet -- --seed 1 --seeds 1000
#include <kj/debug.h>
#include <kj/main.h>
#include <stdio.h>
#include <time.h>

#include "tests/sim/fleet-scenario.h"

namespace nexus {
namespace {

class FleetMain {
 public:
  explicit FleetMain(kj::ProcessContext& context) : context(context) {}

  kj::MainFunc getMain() {
    return kj::MainBuilder(context, "fleet", "Runs the life of a fleet of bus nodes that a seed decides.")
        .addOptionWithArg({"seed"}, KJ_BIND_METHOD(*this, setSeed), "N", "the seed (1)")
        .addOptionWithArg({"seeds"}, KJ_BIND_METHOD(*this, setSeeds), "N", "that many seeds from there on (1)")
        .addOption({"trace"}, KJ_BIND_METHOD(*this, setTrace), "a line for every event")
        .addOption({"calm"}, KJ_BIND_METHOD(*this, setCalm), "no hostile neighbours")
        .callAfterParsing(KJ_BIND_METHOD(*this, run))
        .build();
  }

 private:
  kj::ProcessContext& context;
  uint64_t seed = 1, seeds = 1;
  bool trace = false, hostile = true;

  kj::MainBuilder::Validity setSeed(kj::StringPtr text) { return number(text, seed); }
  kj::MainBuilder::Validity setSeeds(kj::StringPtr text) { return number(text, seeds); }
  kj::MainBuilder::Validity setTrace() { return trace = true; }
  kj::MainBuilder::Validity setCalm() {
    hostile = false;
    return true;
  }

  static kj::MainBuilder::Validity number(kj::StringPtr text, uint64_t& out) {
    KJ_IF_MAYBE (n, text.tryParseAs<uint64_t>()) {
      out = *n;
      return true;
    }
    return "a whole number";
  }

  kj::MainBuilder::Validity run() {
    uint64_t failed = 0, events = 0, steps = 0;
    kj::Duration longest = 0 * kj::SECONDS, lived = 0 * kj::SECONDS;
    setvbuf(stdout, nullptr, _IOLBF, 0);  // a long run that is stopped has told what it found
    auto began = clock();
    for (auto s = seed; s < seed + seeds; s++) {
      ScenarioOptions options{.seed = s, .hostile = hostile};
      if (trace) options.print = [](kj::StringPtr line) { puts(line.cStr()); };
      auto result = runScenario(kj::mv(options));
      events += result.events, steps += result.steps, lived += result.lived;
      longest = kj::max(longest, result.met);
      if (seeds == 1) tell(result);
      if (result.violations.size() == 0) continue;
      failed++;
      printf("seed %lu:\n", (unsigned long)s);
      for (auto& violation : result.violations) printf("  %s\n", violation.cStr());
    }
    auto seconds = double(clock() - began) / CLOCKS_PER_SEC;
    printf(
        "%lu seeds, %lu failed; %.1f ms of CPU each, %lu steps and %lu events each, %.0f steps/s; "
        "longest way to meet %.1f s, %.0f s lived each\n",
        (unsigned long)seeds, (unsigned long)failed, seconds * 1000 / seeds, (unsigned long)(steps / seeds),
        (unsigned long)(events / seeds), steps / seconds, (longest / kj::MILLISECONDS) / 1000.0,
        double(lived / kj::SECONDS) / seeds);
    fflush(stdout);
    if (failed > 0) context.exitError("invariants were violated");
    return true;
  }

  static void tell(const ScenarioResult& r) {
    auto n = [](uint64_t v) { return (unsigned long)v; };
    printf(
        "trace %016lx; calls %lu, executed %lu, ok %lu, denied %lu; streams %lu, refused %lu, ended %lu, bytes %lu\n",
        n(r.traceHash), n(r.calls.attempts), n(r.calls.executed), n(r.calls.ok), n(r.calls.denied), n(r.streams.opened),
        n(r.streams.refused), n(r.streams.ended), n(r.streams.bytes));
    printf(
        "datagrams %lu, lost %lu, duplicated %lu, late %lu; segments %lu, stalled %lu, flipped %lu, said again %lu, "
        "bytes %lu\n",
        n(r.wire.datagrams), n(r.wire.lost), n(r.wire.duplicated), n(r.wire.reordered), n(r.wire.segments),
        n(r.wire.stalled), n(r.wire.flipped), n(r.wire.replaced), n(r.wire.bytes));
  }
};

}  // namespace
}  // namespace nexus

KJ_MAIN(nexus::FleetMain)
