#pragma once
// What local clients may hold of the bus at once, counted: sessions and registered streams. A place is taken with the
// capability and given back with it. The newest is refused, as OVERLOADED, so that one program's leak takes nothing
// from another. One ClientTotals for the daemon, one ClientPlaces for each client; what was handed out keeps both.
#include <kj/debug.h>
#include <kj/refcount.h>

namespace nexus {

struct ClientLimits {
  kj::uint sessions = 64;             // PeerSession capabilities of one client
  kj::uint registrations = 32;        // of one client
  kj::uint registrationsInAll = 256;  // of all clients
};

// Made with kj::refcounted.
class ClientTotals final : public kj::Refcounted {
 public:
  explicit ClientTotals(const ClientLimits& limits = {}) : limits(limits) {}

  const ClientLimits limits;
  kj::uint sessions = 0, registrations = 0;                // held now
  uint64_t refusedSessions = 0, refusedRegistrations = 0;  // for a bound
  uint64_t streamsResumed = 0;                             // opened for a registration, but for its first
};

// Made with kj::refcounted.
class ClientPlaces final : public kj::Refcounted {
 public:
  explicit ClientPlaces(kj::Own<ClientTotals> totals) : totals(kj::mv(totals)) {}

  // To be kept with the capability. OVERLOADED when the bound is reached.
  kj::Own<void> takeSession() {
    auto& limits = totals->limits;
    if (sessions >= limits.sessions) {
      totals->refusedSessions++;
      refuse("this client holds too many sessions of the bus: drop those that are not used", limits.sessions);
    }
    return take(sessions, totals->sessions);
  }

  kj::Own<void> takeRegistration() {
    auto& limits = totals->limits;
    if (registrations >= limits.registrations || totals->registrations >= limits.registrationsInAll) {
      totals->refusedRegistrations++;
      refuse("too many streams are registered: drop registrations that are not used",
             registrations >= limits.registrations ? limits.registrations : limits.registrationsInAll);
    }
    return take(registrations, totals->registrations);
  }

  ClientTotals& all() { return *totals; }

 private:
  kj::Own<ClientTotals> totals;
  kj::uint sessions = 0, registrations = 0;

  kj::Own<void> take(kj::uint& own, kj::uint& ofAll) {
    own++, ofAll++;
    return kj::attachVal(0, kj::defer([self = kj::addRef(*this), &own, &ofAll]() { own--, ofAll--; }));
  }

  [[noreturn]] static void refuse(kj::StringPtr why, kj::uint limit) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, why, limit));
  }
};

}  // namespace nexus
