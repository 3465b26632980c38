#include "daemons/netstackd/icmp-server.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<void> IcmpEchoImpl::ping(PingContext context) {
  auto params = context.getParams();
  auto to = IpAddress::fromIdl(params.getTo());
  auto payload = params.getPayload();
  KJ_REQUIRE(payload.size() <= IcmpEcho::MAX_PAYLOAD, "at most 1400 bytes", payload.size());
  session->counters().pings++;
  auto result = co_await session->echo().ping(to, kj::heapArray<const kj::byte>(payload),
                                              params.getTimeoutMs() * kj::MILLISECONDS);
  context.getResults().setOutcome(result.outcome);
  context.getResults().setRoundTripUs(result.roundTrip / kj::MICROSECONDS);
}

}  // namespace nexus
