#include "daemons/dsoftbusd/policy/policy-diff.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

kj::String text(kj::ArrayPtr<const Allowance> list) {
  auto lines = KJ_MAP(a, list) {
    return kj::str(a.peer, '/', a.deviceId, '/', a.service, '/', a.operation);
  };
  return kj::strArray(lines, " ");
}

TEST_CASE("the order of the rules and saying a thing twice make no difference") {
  Allowances a, b;
  a.add("x", "1", "samgrd", "resolve-status"), a.add("x", "1", "bundlemgrd", "list");
  b.add("x", "1", "bundlemgrd", "list"), b.add("x", "1", "samgrd", "resolve-status");
  b.add("x", "1", "bundlemgrd", "list");
  CHECK(b.size() == 2);
  auto diff = diffPolicies(a, b);
  CHECK(diff.newlyAllowed.size() == 0);
  CHECK(diff.newlyDenied.size() == 0);
}

TEST_CASE("what one has and the other has not is told, in order; the same name of another device is both") {
  Allowances a, b;
  a.add("y", "2", "samgrd", "resolve-status"), a.add("x", "1", "bundlemgrd", "list");
  b.add("y", "3", "samgrd", "resolve-status"), b.add("x", "1", "bundlemgrd", "list"),
      b.add("x", "1", "bundlemgrd", "a");
  auto diff = diffPolicies(a, b);
  CHECK(text(diff.newlyAllowed) == "x/1/bundlemgrd/a y/3/samgrd/resolve-status");
  CHECK(text(diff.newlyDenied) == "y/2/samgrd/resolve-status");
  CHECK(text(diffPolicies(b, a).newlyAllowed) == text(diff.newlyDenied));
}

}  // namespace
}  // namespace nexus
