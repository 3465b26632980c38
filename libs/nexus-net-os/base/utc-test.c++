#include "libs/nexus-net-os/base/utc.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <string>

namespace nexus {
namespace {

int64_t seconds(kj::StringPtr text) {
  return (KJ_ASSERT_NONNULL(tryParseUtc(text)) - kj::UNIX_EPOCH) / kj::SECONDS;
}

TEST_CASE("a date is UTC, to the second, and real") {
  CHECK(seconds("1970-01-01T00:00:00Z") == 0);
  CHECK(seconds("2000-02-29T23:59:59Z") == 951868799);
  CHECK(seconds("2026-11-20T12:00:00Z") == 1795176000);
  CHECK(seconds("2100-03-01T00:00:00Z") == 4107542400);
  CHECK(seconds("2261-12-31T23:59:59Z") == 9214646399);
  for (auto wrong : {"", "2026-12-01", "2026-12-01T00:00:00", "2026-12-01T00:00:00+", "2026-12-01 00:00:00Z",
                     "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-12-32T00:00:00Z",
                     "2026-12-00T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-01T00:60:00Z", "1969-12-31T23:59:59Z",
                     "2026-12-01T00:00:0:Z", "2100-02-29T00:00:00Z", "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    CAPTURE(wrong);
    CHECK(tryParseUtc(wrong) == nullptr);
  }
}

TEST_CASE("a time is written in UTC, cut to the millisecond or the second") {
  CHECK(utcText(kj::UNIX_EPOCH) == "1970-01-01T00:00:00.000Z");
  CHECK(utcText(kj::UNIX_EPOCH + 951782400001ll * kj::MILLISECONDS) == "2000-02-29T00:00:00.001Z");
  CHECK(utcText(kj::UNIX_EPOCH + 951782400999999999ll * kj::NANOSECONDS) == "2000-02-29T00:00:00.999Z");
  CHECK(utcText(kj::UNIX_EPOCH - 1 * kj::MILLISECONDS) == "1969-12-31T23:59:59.999Z");
  CHECK(utcSecondsText(kj::UNIX_EPOCH + 951782400999999999ll * kj::NANOSECONDS) == "2000-02-29T00:00:00Z");
}

TEST_CASE("every day from 1970 to 2261 is written as it is read, and the days follow each other") {
  size_t days = 0;
  for (auto date = kj::UNIX_EPOCH; date < kj::UNIX_EPOCH + 9214646400ll * kj::SECONDS; date += 1 * kj::DAYS) {
    auto text = utcSecondsText(date);
    if (tryParseUtc(text) != date) FAIL(std::string(text.cStr()));
    days++;
  }
  CHECK(days == 106651);
}

TEST_CASE("what is written to the second is read back") {
  for (int64_t at : {int64_t(0), int64_t(951868799), int64_t(1795176000), int64_t(4107542400), int64_t(9214646399)}) {
    CHECK(seconds(utcSecondsText(kj::UNIX_EPOCH + at * kj::SECONDS)) == at);
  }
}

}  // namespace
}  // namespace nexus
