#pragma once
// Do the two reports of one guest agree? Every step's result comes twice, as a marker on the console and as a message
// on the status channel. A result that only one of them carries, or that they tell differently, is no result. Owned by
// the run state, one per node; pure.
#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus::vmtest {

class StatusAgreement {
 public:
  // Distinct steps that are remembered; a guest that names more is not believed (overflow()).
  static constexpr size_t STEPS_MAX = 256;

  void onConsole(kj::StringPtr step, bool ok) { note(step, ok, &Step::console); }
  void onStatus(kj::StringPtr step, bool ok) { note(step, ok, &Step::status); }

  bool overflow() const { return overflowed; }

  // One sentence per step the channels tell differently. `whole`: the guest said it is done, so a step that only one of
  // them carries counts too; otherwise it may still be on its way.
  kj::Vector<kj::String> disagreements(bool whole) const;

 private:
  enum class Said : kj::byte { NOTHING, OK, FAIL };
  struct Step {
    Said console = Said::NOTHING;
    Said status = Said::NOTHING;
  };
  void note(kj::StringPtr step, bool ok, Said Step::* channel);

  kj::TreeMap<kj::String, Step> steps;  // ordered, so that the report is the same every time
  bool overflowed = false;
};

}  // namespace nexus::vmtest
