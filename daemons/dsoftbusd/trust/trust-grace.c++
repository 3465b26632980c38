#include "daemons/dsoftbusd/trust/trust-grace.h"

#include <kj/debug.h>

namespace nexus {

namespace {

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

}  // namespace

kj::Maybe<kj::Date> tryParseUtc(kj::StringPtr text) {
  if (text.size() != PATTERN.size()) return nullptr;
  for (auto i : kj::indices(PATTERN)) {
    bool fits = PATTERN[i] == 'd' ? '0' <= text[i] && text[i] <= '9' : text[i] == PATTERN[i];
    if (!fits) return nullptr;
  }
  auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(month, year)) return nullptr;
  if (hour > 23 || minute > 59 || second > 59) return nullptr;
  int64_t days = day - 1;
  for (kj::uint y = 1970; y < year; y++) days += isLeap(y) ? 366 : 365;
  for (kj::uint m = 1; m < month; m++) days += daysIn(m, year);
  return kj::UNIX_EPOCH + (((days * 24 + hour) * 60 + minute) * 60 + second) * kj::SECONDS;
}

kj::OneOf<kj::Maybe<PreviousIdentity>, kj::String> checkPrevious(config::Dsoftbusd::Trust::Reader entry,
                                                                 const LoadTime& now) {
  auto deviceId = entry.getPreviousDeviceId(), staticKey = entry.getPreviousStaticKey(),
       until = entry.getPreviousUntil();
  if (deviceId.size() == 0 && staticKey.size() == 0 && until.size() == 0) return kj::Maybe<PreviousIdentity>(nullptr);
  if (!isDeviceId(deviceId)) return kj::str("previousDeviceId must be 64 lowercase hexadecimal digits");
  if (deviceId == entry.getDeviceId()) return kj::str("previousDeviceId is the device id itself");
  auto key = tryParseKeyBytes(staticKey);
  if (key == nullptr) return kj::str("previousStaticKey must be 64 hexadecimal digits");
  auto end = tryParseUtc(until);
  if (end == nullptr) {
    return kj::str("previousUntil must say until when the previous key is accepted, as \"2026-12-01T00:00:00Z\" (UTC)");
  }
  auto left = KJ_ASSERT_NONNULL(end) - now.wall;
  if (left <= 0 * kj::SECONDS) return kj::Maybe<PreviousIdentity>(nullptr);
  return kj::Maybe<PreviousIdentity>(
      PreviousIdentity{PublicIdentity{kj::str(deviceId), KJ_ASSERT_NONNULL(key)}, now.timer + left});
}

}  // namespace nexus
