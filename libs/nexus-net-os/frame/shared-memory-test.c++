#include "libs/nexus-net-os/frame/shared-memory.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace nexus {
namespace {

constexpr size_t SIZE = 4 * 4096;

TEST_CASE("what one mapping writes the other reads") {
  auto mine = SharedMemory::create("test", SIZE);
  auto theirs = SharedMemory::map(mine.duplicateFd(), SIZE);
  mine.bytes()[4097] = 42;
  CHECK(theirs.bytes()[4097] == 42);
  CHECK(theirs.bytes().begin() != mine.bytes().begin());
}

TEST_CASE("a mapping survives the move of its owner and the end of the other process's mapping") {
  auto mine = kj::heap<SharedMemory>(SharedMemory::create("test", SIZE));
  auto theirs = SharedMemory::map(mine->duplicateFd(), SIZE);
  SharedMemory moved(kj::mv(theirs));
  mine->bytes()[0] = 1;
  mine = nullptr;
  CHECK(moved.bytes()[0] == 1);
}

TEST_CASE(
    "after sealing the holder of a descriptor can neither resize, nor punch a hole, nor map the memory writable "
    "again") {
  auto mine = SharedMemory::create("test", SIZE);
  auto theirs = SharedMemory::map(mine.duplicateFd(), SIZE);
  auto fd = mine.duplicateFd();
  CHECK_THROWS(theirs.requireSealed());
  mine.seal();
  mine.requireSealed();
  theirs.requireSealed();
  mine.seal();  // again is no harm

  memset(mine.bytes().begin(), 7, SIZE);
  CHECK(ftruncate(fd, 0) == -1);
  CHECK(ftruncate(fd, SIZE * 2) == -1);
  CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
  CHECK(madvise(theirs.bytes().begin(), 4096, MADV_REMOVE) == -1);
  CHECK(mmap(nullptr, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  CHECK(write(fd, "x", 1) == -1);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
  CHECK_THROWS(SharedMemory::map(mine.duplicateFd(), SIZE));

  // The memory is whole, and both existing mappings still write.
  for (kj::byte b : mine.bytes()) REQUIRE(b == 7);
  theirs.bytes()[0] = 9;
  CHECK(mine.bytes()[0] == 9);
}

TEST_CASE("without sealing the same attacks work, but for the size, which is fixed from the start") {
  auto mine = SharedMemory::create("test", SIZE);
  auto theirs = SharedMemory::map(mine.duplicateFd(), SIZE);
  memset(mine.bytes().begin(), 7, SIZE);
  CHECK(madvise(theirs.bytes().begin(), 4096, MADV_REMOVE) == 0);
  CHECK(mine.bytes()[0] == 0);
  CHECK(mmap(nullptr, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mine.duplicateFd(), 0) != MAP_FAILED);
  CHECK(ftruncate(mine.duplicateFd(), 0) == -1);
  CHECK(ftruncate(mine.duplicateFd(), SIZE * 2) == -1);
}

TEST_CASE("memory that is too short, or no memory at all, is not mapped") {
  auto mine = SharedMemory::create("test", SIZE);
  CHECK_THROWS(SharedMemory::map(mine.duplicateFd(), SIZE + 4096));
  CHECK(SharedMemory::map(mine.duplicateFd(), SIZE - 4096).bytes().size() == SIZE - 4096);
  int pair[2];
  KJ_SYSCALL(pipe2(pair, O_CLOEXEC));
  kj::AutoCloseFd keep(pair[1]);
  CHECK_THROWS(SharedMemory::map(kj::AutoCloseFd(pair[0]), SIZE));
}

// A memfd as a careless or hostile process makes it.
kj::AutoCloseFd rawMemory(unsigned flags) {
  int fd;
  KJ_SYSCALL(fd = memfd_create("test", flags));
  KJ_SYSCALL(ftruncate(fd, SIZE));
  return kj::AutoCloseFd(fd);
}

TEST_CASE("memory that refuses seals cannot be sealed") {
  auto memory = SharedMemory::map(rawMemory(MFD_CLOEXEC), SIZE);
  CHECK_THROWS(memory.seal());
  CHECK_THROWS(memory.requireSealed());
}

TEST_CASE("memory that was shrunk between mapping and sealing is noticed before anybody reads it") {
  auto memory = SharedMemory::map(rawMemory(MFD_CLOEXEC | MFD_ALLOW_SEALING), SIZE);
  KJ_SYSCALL(ftruncate(memory.duplicateFd(), 4096));
  memory.seal();
  CHECK_THROWS(memory.requireSealed());
}

}  // namespace
}  // namespace nexus
