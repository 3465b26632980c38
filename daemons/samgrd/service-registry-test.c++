#include "daemons/samgrd/service-registry.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

TEST_CASE("a registered name is found with its slots") {
  ServiceRegistry registry;
  CHECK(registry.lookup("a", "vfsd"_kj) == nullptr);
  CHECK(registry.tryRegister("a", "vfsd"_kj, {5, 6}));
  auto slots = KJ_ASSERT_NONNULL(registry.lookup("a", "vfsd"_kj));
  CHECK(slots.send == 5);
  CHECK(slots.recv == 6);
  CHECK(registry.lookup("a", "vfs"_kj) == nullptr);
}

TEST_CASE("registering again replaces the slots and takes no room") {
  ServiceRegistry registry({.total = 1, .perClient = 1});
  CHECK(registry.tryRegister("a", "vfsd"_kj, {1, 2}));
  CHECK(registry.tryRegister("a", "vfsd"_kj, {3, 4}));
  CHECK(KJ_ASSERT_NONNULL(registry.lookup("a", "vfsd"_kj)).send == 3);
  CHECK(registry.size() == 1);
  CHECK(registry.refusedCount() == 0);
}

TEST_CASE("clients have scopes of their own, presence is common") {
  ServiceRegistry registry;
  registry.tryRegister("a", "vfsd"_kj, {1, 2});
  CHECK(registry.lookup("b", "vfsd"_kj) == nullptr);
  CHECK(registry.isPresent("vfsd"_kj));
  registry.tryRegister("b", "vfsd"_kj, {3, 4});
  CHECK(KJ_ASSERT_NONNULL(registry.lookup("a", "vfsd"_kj)).send == 1);
  CHECK(KJ_ASSERT_NONNULL(registry.lookup("b", "vfsd"_kj)).send == 3);
  CHECK_FALSE(registry.isPresent("other"_kj));
}

TEST_CASE("one client registers 64 names and no more") {
  ServiceRegistry registry;
  for (int i = 0; i < 64; i++) CHECK(registry.tryRegister("a", kj::str("s", i).asArray(), {}));
  CHECK_FALSE(registry.tryRegister("a", "one more"_kj, {}));
  CHECK(registry.refusedCount() == 1);
  CHECK(registry.tryRegister("a", "s0"_kj, {9, 9}));
  CHECK(registry.tryRegister("b", "one more"_kj, {}));
}

TEST_CASE("all clients together register 256 names and no more") {
  ServiceRegistry registry;
  for (int i = 0; i < 256; i++) CHECK(registry.tryRegister(kj::str("client", i / 64), kj::str("s", i).asArray(), {}));
  CHECK_FALSE(registry.tryRegister("late", "one more"_kj, {}));
  CHECK(registry.size() == 256);
  CHECK(registry.tryRegister("client0", "s0"_kj, {9, 9}));
}

TEST_CASE("names are bytes: zeros and all values count") {
  ServiceRegistry registry;
  registry.tryRegister("a", "x\0y"_kj, {1, 1});
  CHECK(registry.lookup("a", "x"_kj) == nullptr);
  CHECK(registry.lookup("a", "x\0y"_kj) != nullptr);
  CHECK_FALSE(registry.isPresent("x\0z"_kj));
}

}  // namespace
}  // namespace nexus
