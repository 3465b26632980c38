#include "libs/nexus-net-os/stack/tcp-isn.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

const kj::byte A[] = {10, 42, 0, 10}, B[] = {10, 42, 0, 11};
kj::ArrayPtr<const kj::byte> a(A), b(B);

TEST_CASE("one pair of endpoints counts up by one every 4 microseconds (RFC 6528)") {
  FixedEntropy entropy;
  TcpIsn isn(entropy);
  uint32_t start = isn.next(a, 1, b, 2, 1'000'000);
  CHECK(isn.next(a, 1, b, 2, 1'000'000) == start);
  CHECK(isn.next(a, 1, b, 2, 1'000'004) == start + 1);
  CHECK(isn.next(a, 1, b, 2, 2'000'000) == start + 250'000);
}

TEST_CASE("every part of the endpoints, and the secret, changes the offset") {
  FixedEntropy entropy(1), other(2);
  TcpIsn isn(entropy), secret(other);
  uint32_t start = isn.next(a, 1, b, 2, 0);
  CHECK(isn.next(a, 2, b, 2, 0) != start);
  CHECK(isn.next(a, 1, b, 3, 0) != start);
  CHECK(isn.next(b, 1, b, 2, 0) != start);
  CHECK(isn.next(a, 1, a, 2, 0) != start);
  CHECK(isn.next(a, 2, b, 1, 0) != start);
  CHECK(secret.next(a, 1, b, 2, 0) != start);
}

}  // namespace
}  // namespace nexus
