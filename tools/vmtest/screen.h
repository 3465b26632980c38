#pragma once
// Where the harness prints: on a terminal the ladder is drawn in place, elsewhere news come as plain lines. Owned by
// the run.
#include <kj/io.h>
#include <kj/vector.h>

#include "tools/vmtest/ladder-view.h"

namespace nexus::vmtest {

class Screen {
 public:
  // redraw: `fd` is a terminal that obeys escape sequences.
  Screen(int fd, bool redraw, bool color);

  void line(kj::StringPtr text);
  // Call it as often as anything may have changed.
  void update(const RunState& state, kj::TimePoint now);
  // The last picture; what comes afterwards stands below it.
  void settle(const RunState& state, kj::TimePoint now);

 private:
  void draw(const RunState& state, kj::TimePoint now);
  void write(kj::StringPtr text);

  const int fd;
  const bool redraw, color;
  kj::Maybe<PlainView> plain;
  kj::uint drawn = 0;  // lines of the ladder that stand above the cursor
};

}  // namespace nexus::vmtest
