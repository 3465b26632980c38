#include "libs/nexus-net-os/base/utc.h"

#include <stdio.h>

namespace nexus {

namespace {

constexpr kj::uint LAST_YEAR = 2261;  // the last that 2^63 nanoseconds since 1970 hold whole
constexpr int64_t DAY_SECONDS = 86400;
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

struct Day {
  int64_t year;
  kj::uint month, day;
};

// The Gregorian calendar in years that begin on 1 March, whose leap day is the last. Not gmtime_r: that reads the file
// of the time zone at its first use, and a daemon in its sandbox is killed for it.
Day dayOf(int64_t daysSince1970) {
  constexpr int64_t DAYS_BEFORE = 719468, DAYS_IN_ERA = 146097;  // from 1 March of year 0; in 400 years
  int64_t days = daysSince1970 + DAYS_BEFORE;
  int64_t era = (days >= 0 ? days : days - (DAYS_IN_ERA - 1)) / DAYS_IN_ERA;
  int64_t ofEra = days - era * DAYS_IN_ERA;
  int64_t year = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146096) / 365;
  int64_t ofYear = ofEra - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * ofYear + 2) / 153;  // from March
  auto day = kj::uint(ofYear - (153 * month + 2) / 5 + 1);
  return {year + era * 400 + (month >= 10 ? 1 : 0), kj::uint(month < 10 ? month + 3 : month - 9), day};
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
  int64_t seconds = nanoseconds / 1'000'000'000;
  if (nanoseconds % 1'000'000'000 < 0) seconds--;
  int64_t days = seconds / DAY_SECONDS;
  if (seconds % DAY_SECONDS < 0) days--;
  auto ofDay = int(seconds - days * DAY_SECONDS);
  auto day = dayOf(days);
  char text[40];
  snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02dZ", int(day.year), day.month, day.day, ofDay / 3600,
           ofDay / 60 % 60, ofDay % 60);
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
