#include "libs/oslite-frames/service-id.h"

#include <doctest/doctest.h>
#include <kj/string.h>

namespace nexus::oslite {
namespace {

TEST_CASE("a service id is the 64-bit FNV-1a of the name") {
  CHECK(serviceId(""_kj) == 0xcbf29ce484222325);
  CHECK(serviceId("a"_kj) == 0xaf63dc4c8601ec8c);
  CHECK(serviceId("selftest"_kj) == 0x7ee758bbfced33e3);
  CHECK(serviceId("dsoftbusd"_kj) == 0x326680366b8c11f1);
  CHECK(serviceId("\xff"_kj) == 0xaf64724c8602eb6e);
}

}  // namespace
}  // namespace nexus::oslite
