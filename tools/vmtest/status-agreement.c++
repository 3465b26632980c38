#include "tools/vmtest/status-agreement.h"

namespace nexus::vmtest {

void StatusAgreement::note(kj::StringPtr step, bool ok, Said Step::* channel) {
  Said said = ok ? Said::OK : Said::FAIL;
  KJ_IF_MAYBE (known, steps.find(step)) {
    // A step that failed once has failed.
    if ((*known).*channel != Said::FAIL) (*known).*channel = said;
    return;
  }
  if (steps.size() >= STEPS_MAX) {
    overflowed = true;
    return;
  }
  Step fresh;
  fresh.*channel = said;
  steps.insert(kj::heapString(step), fresh);
}

kj::Vector<kj::String> StatusAgreement::disagreements(bool whole) const {
  auto word = [](Said said) -> kj::StringPtr {
    return said == Said::OK ? "ok"_kj : said == Said::FAIL ? "FAIL"_kj : "nothing"_kj;
  };
  kj::Vector<kj::String> out;
  for (auto& entry : steps) {
    const Step& step = entry.value;
    if (step.console == step.status) continue;
    bool bothSpoke = step.console != Said::NOTHING && step.status != Said::NOTHING;
    if (!bothSpoke && !whole) continue;
    out.add(kj::str("step ", entry.key, ": the console says ", word(step.console), ", the status channel says ",
                    word(step.status)));
  }
  return out;
}

}  // namespace nexus::vmtest
