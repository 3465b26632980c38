#pragma once
// The status of a remote call as it is on the wire (one byte) and in the schema (idl CallStatus): the same numbers,
// pinned here.
#include <kj/common.h>

#include "idl/dsoftbus.capnp.h"

namespace nexus {

using CallStatus = idl::CallStatus;

static_assert(uint16_t(CallStatus::OK) == 0 && uint16_t(CallStatus::DENIED) == 1 &&
              uint16_t(CallStatus::MALFORMED) == 2);
static_assert(uint16_t(CallStatus::OVERSIZED) == 3 && uint16_t(CallStatus::RATE_LIMITED) == 4);
static_assert(uint16_t(CallStatus::BACKEND_FAILED) == 5 && uint16_t(CallStatus::TIMED_OUT) == 6);
static_assert(uint16_t(CallStatus::UNAUTHENTICATED) == 7 && uint16_t(CallStatus::REPLY_OVERSIZED) == 8);

// The largest status that travels; CANCELLED and REFUSED stay in the audit log.
constexpr kj::byte MAX_WIRE_STATUS = 8;
constexpr uint16_t CALL_VERDICTS = uint16_t(CallStatus::REFUSED) + 1;

// A request frame and a reply frame of a remote call, bytes (contract of the proxy).
constexpr size_t MAX_CALL_FRAME = 256;
constexpr size_t MAX_CALL_REPLY = 512;
constexpr size_t MAX_PING_PAYLOAD = 256;

inline kj::StringPtr statusName(CallStatus status) {
  switch (status) {
    case CallStatus::OK:
      return "ok"_kj;
    case CallStatus::DENIED:
      return "denied"_kj;
    case CallStatus::MALFORMED:
      return "malformed"_kj;
    case CallStatus::OVERSIZED:
      return "oversized"_kj;
    case CallStatus::RATE_LIMITED:
      return "rate-limited"_kj;
    case CallStatus::BACKEND_FAILED:
      return "backend-failed"_kj;
    case CallStatus::TIMED_OUT:
      return "timed-out"_kj;
    case CallStatus::UNAUTHENTICATED:
      return "unauthenticated"_kj;
    case CallStatus::REPLY_OVERSIZED:
      return "reply-oversized"_kj;
    case CallStatus::CANCELLED:
      return "cancelled"_kj;
    case CallStatus::REFUSED:
      return "refused"_kj;
  }
  return "unknown"_kj;
}

inline kj::StringPtr dryRunName(idl::DryRunVerdict verdict) {
  switch (verdict) {
    case idl::DryRunVerdict::SAME:
      return "same"_kj;
    case idl::DryRunVerdict::WOULD_ALLOW:
      return "would-allow"_kj;
    case idl::DryRunVerdict::WOULD_DENY:
      return "would-deny"_kj;
  }
  return "unknown"_kj;
}

}  // namespace nexus
