#include "libs/nexus-net-os/base/utc.h"

#include <stdio.h>
#include <time.h>

namespace nexus {

namespace {

constexpr kj::uint LAST_YEAR = 2261;  // the last that 2^63 nanoseconds since 1970 hold whole
constexpr auto PATTERN = "dddd-dd-ddTdd:dd:ddZ"_kj;

// The decimal number at [from, from + digits).
kj::uint number(kj::StringPtr text, size_t from, size_t digits) {
  kj::uint n = 0;
  for (size_t i = from; i < from + digits; i++) n = n * 10 + kj::uint(text[i] - '0');
  return n;
}

bool isLeap(kj::uint year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

kj::uint daysIn(kj::uint month, kj::uint year) {
  static constexpr kj::uint DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return DAYS[month - 1] + (month == 2 && isLeap(year) ? 1 : 0);
}

struct tm partsOf(time_t seconds) {
  struct tm parts;
  gmtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

kj::String utcText(kj::Date date) {
  auto text = utcSecondsText(date);
  auto milliseconds = (date - kj::UNIX_EPOCH) / kj::MILLISECONDS % 1000;
  if (milliseconds < 0) milliseconds += 1000;
  char tail[8];
  snprintf(tail, sizeof(tail), ".%03dZ", int(milliseconds));
  return kj::str(text.slice(0, text.size() - 1), tail);
}

kj::String utcSecondsText(kj::Date date) {
  auto nanoseconds = (date - kj::UNIX_EPOCH) / kj::NANOSECONDS;
  time_t seconds = nanoseconds / 1'000'000'000;
  if (nanoseconds % 1'000'000'000 < 0) seconds--;
  auto parts = partsOf(seconds);
  char text[40];
  snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
           parts.tm_hour, parts.tm_min, parts.tm_sec);
  return kj::str(text);
}

kj::Maybe<kj::Date> tryParseUtc(kj::StringPtr text) {
  if (text.size() != PATTERN.size()) return nullptr;
  for (auto i : kj::indices(PATTERN)) {
    bool fits = PATTERN[i] == 'd' ? '0' <= text[i] && text[i] <= '9' : text[i] == PATTERN[i];
    if (!fits) return nullptr;
  }
  auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (year < 1970 || year > LAST_YEAR || month < 1 || month > 12 || day < 1 || day > daysIn(month, year))
    return nullptr;
  if (hour > 23 || minute > 59 || second > 59) return nullptr;
  int64_t days = day - 1;
  for (kj::uint y = 1970; y < year; y++) days += isLeap(y) ? 366 : 365;
  for (kj::uint m = 1; m < month; m++) days += daysIn(m, year);
  return kj::UNIX_EPOCH + (((days * 24 + hour) * 60 + minute) * 60 + second) * kj::SECONDS;
}

}  // namespace nexus
