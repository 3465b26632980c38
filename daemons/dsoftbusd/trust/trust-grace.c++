#include "daemons/dsoftbusd/trust/trust-grace.h"

#include <kj/debug.h>

namespace nexus {

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
  return kj::Maybe<PreviousIdentity>(PreviousIdentity{PublicIdentity{kj::str(deviceId), KJ_ASSERT_NONNULL(key)},
                                                      now.timer + left, KJ_ASSERT_NONNULL(end)});
}

}  // namespace nexus
