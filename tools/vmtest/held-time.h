#pragma once
// For how long the host has kept the guests waiting for a processor, and what that adds to the limits. On a machine
// that runs much else a guest is slow, and that is not what a limit is to find: the time in which a guest's QEMU was
// ready to run and the host ran something else is given back. Pure, a value; the run state and its phases have one
// each, the run feeds them from what the kernel counts (sched-wait).
#include <kj/time.h>

namespace nexus::vmtest {

class HeldTime {
 public:
  // No limit grows beyond this many times itself: every wait ends.
  static constexpr int64_t LARGEST_FACTOR = 4;

  // Of one node, since its launch.
  void note(kj::byte node, kj::Duration waited) { nodes[node] = kj::max(nodes[node], waited); }

  // Of the node that waited longest.
  kj::Duration total() const { return kj::max(nodes[0], nodes[1]); }

  // What is added to a limit that began when total() was `mark`.
  kj::Duration extra(kj::Duration limit, kj::Duration mark) const {
    return kj::min(total() - mark, limit * (LARGEST_FACTOR - 1));
  }

 private:
  kj::Duration nodes[2] = {0 * kj::SECONDS, 0 * kj::SECONDS};
};

}  // namespace nexus::vmtest
