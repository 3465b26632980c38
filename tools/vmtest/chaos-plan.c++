#include "tools/vmtest/chaos-plan.h"

#include <kj/vector.h>

namespace nexus::vmtest {

namespace {

constexpr kj::StringPtr SERVICES[] = {"virtionetd"_kj, "netstackd"_kj, "samgrd"_kj,   "bundlemgrd"_kj,
                                      "packagefsd"_kj, "statefsd"_kj,  "dsoftbusd"_kj};

// Behind the network stack stand the address, the session and the peer's notice of its loss.
kj::Duration killBudget(kj::StringPtr service) {
  if (service == "netstackd") return 5 * kj::SECONDS;
  if (service == "dsoftbusd") return 3 * kj::SECONDS;
  if (service == "virtionetd") return 3 * kj::SECONDS;
  return 1 * kj::SECONDS;
}

}  // namespace

kj::String ChaosEvent::text() const {
  if (kind == Kind::KILL) return kj::str("kill ", service, " on ", NODE_NAMES[node]);
  return kj::str("cut the link for ", cut / kj::SECONDS, " s");
}

kj::StringPtr ChaosEvent::companion() const {
  // The driver's memory is sealed to the stack that has died.
  return kind == Kind::KILL && service == "netstackd" ? "virtionetd"_kj : ""_kj;
}

kj::ArrayPtr<const kj::StringPtr> chaosServices() {
  return kj::arrayPtr(SERVICES, kj::size(SERVICES));
}

kj::Array<ChaosEvent> chaosPlan(ChaosMode mode) {
  kj::Vector<ChaosEvent> events;
  if (mode == ChaosMode::OFF) return events.releaseAsArray();
  for (kj::byte node = 0; node < 2; node++) {
    for (auto service : SERVICES)
      events.add(ChaosEvent{ChaosEvent::Kind::KILL, node, service, 0 * kj::SECONDS, killBudget(service)});
  }
  auto cut = [&](kj::Duration duration, kj::Duration budget) {
    events.add(ChaosEvent{ChaosEvent::Kind::CUT, 0, ""_kj, duration, budget});
  };
  if (mode >= ChaosMode::SHORT) cut(SHORT_CUT, 3 * kj::SECONDS);
  if (mode >= ChaosMode::LONG) cut(LONG_CUT, 5 * kj::SECONDS);
  return events.releaseAsArray();
}

}  // namespace nexus::vmtest
