#include "libs/nexus-net-os/frame/buffer-pool.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

TEST_CASE("a pool gives exactly the bytes of a segment, and no two buffers overlap") {
  auto pool = BufferPool::create({16, 32});
  for (BufferId id = 0; id < 48; id++) memset(pool.buffer(id).begin(), static_cast<int>(id + 1), ring::BUFFER_SIZE);
  for (BufferId id = 0; id < 48; id++) {
    for (kj::byte b : pool.buffer(id)) REQUIRE(b == id + 1);
  }
  auto piece = pool.bytes({3, 2040, 8});
  CHECK(piece.size() == 8);
  CHECK(piece.end() == pool.buffer(3).end());
}

TEST_CASE("a segment outside its buffer is refused, whichever field is wrong") {
  auto pool = BufferPool::create({16, 16});
  for (FrameSegment bad : {FrameSegment{32, 0, 1}, FrameSegment{0xffffffff, 0, 1}, FrameSegment{0, 0, 0},
                           FrameSegment{0, 0, 2049}, FrameSegment{0, 2048, 1}, FrameSegment{0, 1, 2048},
                           FrameSegment{0, 0xffffffff, 2}, FrameSegment{0, 2, 0xffffffff}}) {
    CHECK_FALSE(isInside(bad, pool.geometry()));
    CHECK_THROWS(pool.bytes(bad));
  }
  CHECK(isInside({31, 0, 2048}, pool.geometry()));
}

TEST_CASE("only powers of two from 16 to 4096 make a pool, and a ring always has room for every buffer") {
  for (uint32_t count : {0u, 8u, 15u, 17u, 100u, 8192u}) {
    CHECK_THROWS(BufferPool::create({count, 16}));
    CHECK_THROWS(BufferPool::create({16, count}));
  }
  for (BufferGeometry g :
       {BufferGeometry{16, 16}, BufferGeometry{16, 64}, BufferGeometry{4096, 4096}, BufferGeometry{512, 256}}) {
    CHECK(g.isValid());
    CHECK(g.ringEntries() >= g.total());
    CHECK((g.ringEntries() & (g.ringEntries() - 1)) == 0);
  }
}

TEST_CASE("memory that is shorter than the geometry says is refused") {
  CHECK_THROWS(BufferPool(SharedMemory::create("test", 4096), {16, 16}));
}

}  // namespace
}  // namespace nexus
