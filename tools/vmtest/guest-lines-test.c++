#include "tools/vmtest/guest-lines.h"

#include <doctest/doctest.h>

namespace nexus::vmtest {
namespace {

TEST_CASE("a kernel that gave up is recognised wherever the line has it, a faulting program is not") {
  CHECK(isPanicLine("[    1.785822] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"));
  CHECK(isPanicLine("[ 2.0] BUG: unable to handle page fault for address: 0000"));
  CHECK(isPanicLine("[ 2.0] Oops: 0002 [#1] SMP"));
  CHECK(!isPanicLine("[ 2.0] netstackd[81]: segfault at 0"));
  CHECK(!isPanicLine("Kernel panic"));
}

TEST_CASE("warnings and errors of daemons are notices, information is not") {
  CHECK(isNoticeLine("level=warning daemon=x msg=y"));
  CHECK(isNoticeLine("level=error daemon=x msg=y"));
  CHECK(!isNoticeLine("level=info daemon=x msg=level=warning "));
  CHECK(!isNoticeLine("level=warnings"));
}

TEST_CASE("the signals that a daemon brings upon itself are explained") {
  CHECK(exitMeaning("signal 31") == " (a system call outside its sandbox's list)");
  CHECK(exitMeaning("exit 3") == "");
}

}  // namespace
}  // namespace nexus::vmtest
