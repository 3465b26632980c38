#include "tools/vmtest/guest-link.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <sys/socket.h>

namespace nexus::vmtest {
namespace {

// What arrives at `to` when `from` sends one frame; 0: nothing.
ssize_t carry(int from, int to) {
  CHECK(send(from, "frame", 5, MSG_DONTWAIT) == 5);  // the sender never learns
  char buffer[16];
  ssize_t n = recv(to, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (n < 0) CHECK(errno == EAGAIN);
  return n < 0 ? 0 : n;
}

TEST_CASE("a link carries frames both ways, nothing while it is cut, and frames again when it is healed") {
  GuestLink link;
  auto a = link.openEnd(0), b = link.openEnd(1);
  for (int round = 0; round < 3; round++) {
    CHECK(carry(a, b) == 5);
    CHECK(carry(b, a) == 5);
    link.setCut(true);
    link.setCut(true);
    CHECK(link.isCut());
    CHECK(carry(a, b) == 0);
    CHECK(carry(b, a) == 0);
    link.setCut(false);
    link.setCut(false);
  }
  CHECK(carry(a, b) == 5);
}

TEST_CASE("frames that had arrived before the cut are still there") {
  GuestLink link;
  auto a = link.openEnd(0), b = link.openEnd(1);
  CHECK(send(a, "early", 5, 0) == 5);
  link.setCut(true);
  char buffer[16];
  CHECK(recv(b, buffer, sizeof(buffer), MSG_DONTWAIT) == 5);
}

}  // namespace
}  // namespace nexus::vmtest
