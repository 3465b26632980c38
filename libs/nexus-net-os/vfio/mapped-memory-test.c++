#include "libs/nexus-net-os/vfio/mapped-memory.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace nexus {
namespace {

TEST_CASE("memory outlives its descriptor and is the same through every mapping") {
  auto fd = newSharedMemory("test", 8192);
  auto whole = mapShared(fd, 0, 8192);
  auto second = mapShared(fd, 4096, 4096);
  fd = nullptr;
  whole[4096] = 42;
  CHECK(second[0] == 42);
  CHECK(whole.size() == 8192);
}

TEST_CASE("shared memory cannot be made smaller or larger by a holder") {
  auto fd = newSharedMemory("test", 8192);
  CHECK(ftruncate(fd, 0) < 0);
  CHECK(errno == EPERM);
  CHECK(ftruncate(fd, 16384) < 0);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);  // later seals are possible
}

TEST_CASE("what cannot be mapped fails") {
  CHECK_THROWS((void)mapShared(-1, 0, 4096));
}

}  // namespace
}  // namespace nexus
