#include "tools/vmtest/screen.h"

#include <sys/ioctl.h>

namespace nexus::vmtest {

namespace {

struct Size {
  kj::uint columns = 100, rows = 40;
};

// Asked every time: the window may change.
Size terminalSize(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) return Size();
  return Size{size.ws_col, size.ws_row};
}

}  // namespace

Screen::Screen(int fd, bool redraw, bool color) : fd(fd), redraw(redraw), color(color) {}

void Screen::write(kj::StringPtr text) {
  // A reader that went away is no reason to stop a run.
  (void)kj::runCatchingExceptions([&] { kj::FdOutputStream(fd).write(text.begin(), text.size()); });
}

void Screen::line(kj::StringPtr text) {
  write(kj::str(text, '\n'));
}

void Screen::draw(const RunState& state, kj::TimePoint now) {
  auto size = terminalSize(fd);
  auto lines = ladderLines(state, now, ViewStyle{size.columns - 1, color, size.rows - 2});
  auto out = drawn > 0 ? kj::str("\x1b[", drawn, 'A') : kj::String();
  for (auto& line : lines) out = kj::str(out, line, "\x1b[K\n");
  write(kj::str(out, "\x1b[J"));
  drawn = kj::uint(lines.size());
}

void Screen::update(const RunState& state, kj::TimePoint now) {
  if (redraw) {
    draw(state, now);
    return;
  }
  if (plain == nullptr) plain.emplace(state);
  KJ_IF_MAYBE (view, plain) {
    for (auto& text : view->news(now)) line(text);
  }
}

void Screen::settle(const RunState& state, kj::TimePoint now) {
  update(state, now);
  drawn = 0;
}

}  // namespace nexus::vmtest
