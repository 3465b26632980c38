#include "tests/sim/fleet-invariants.h"

#include <kj/debug.h>

namespace nexus {

kj::Maybe<kj::String> checkMux(const MuxCore& core, const FleetBounds& bounds) {
  if (core.streamCount() > bounds.streams) return kj::str(core.streamCount(), " streams in one session");
  if (core.backlogSize() > bounds.acceptBacklog) return kj::str(core.backlogSize(), " streams wait to be accepted");
  if (core.refusedCount() > bounds.refusedStreams) return kj::str(core.refusedCount(), " refused streams remembered");
  // Ids rise by two, at either end, and no session of a fleet opens many.
  size_t found = 0;
  auto most = 2 * (core.counters().opened + core.counters().accepted + core.counters().refused + 2);
  for (MuxStreamId id = 1; id <= most && found < core.streamCount(); id++) {
    KJ_IF_MAYBE (stream, core.find(id)) {
      found++;
      if (stream->sendBuffered() > bounds.streamBuffer || stream->receiveBuffered() > bounds.streamBuffer) {
        return kj::str("stream ", id, " keeps ", stream->sendBuffered(), " bytes to send and ",
                       stream->receiveBuffered(), " received");
      }
      if (stream->receiveBuffered() + stream->receiveCredit() > bounds.streamBuffer) {
        return kj::str("stream ", id, " lets its peer send ", stream->receiveCredit(), " bytes more and keeps ",
                       stream->receiveBuffered());
      }
    }
  }
  kj::Maybe<kj::String> broken;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { core.checkInvariants(); })) {
    broken = kj::str(exception->getDescription());
  }
  return broken;
}

namespace {

// A stream of a peer goes on for as long as a rule allows it, and not for one event more.
void checkOpenStreams(FleetNode& node, const MuxCore& core, kj::StringPtr peer, FleetTrace& trace) {
  if (core.streamCount() == 0) return;
  auto opener = KJ_ASSERT_NONNULL(FleetApp::machineOf(peer));
  for (auto id : core.streamsOfPeer()) {
    auto& name = KJ_ASSERT_NONNULL(core.find(id)).name;
    bool allowed = false;
    for (auto i : kj::zeroTo(FLEET_STREAM_NAMES)) {
      allowed |= name == fleetStreamName(i) && node.rights().allowsNow(opener, node.machine, fleetStreamRight(i));
    }
    if (allowed) continue;
    trace.violation(
        kj::str("machine ", node.machine, " has stream ", id, " of ", peer, " open, which no rule allows: ", name));
  }
}

}  // namespace

void checkMachine(FleetNode& node, FleetTrace& trace, const FleetBounds& bounds) {
  if (!node.isUp()) return;
  auto& daemon = node.daemon();
  auto check = [&](kj::StringPtr what, size_t value, size_t bound) {
    if (value > bound) trace.violation(kj::str("machine ", node.machine, ": ", value, " ", what, ", at most ", bound));
  };
  check("half-open handshakes", daemon.sessions().halfOpenCount(), bounds.halfOpen);
  check("half-open handshakes of one source", daemon.sessions().halfOpenOfOneSource(), bounds.halfOpenOfOneSource);
  check("peers heard", daemon.peers().peers().size(), bounds.heardPeers);
  check("audit records", daemon.audit().size(), bounds.auditRecords);
  if (daemon.audit().size() + daemon.audit().droppedCount() != daemon.audit().lastId()) {
    trace.violation(kj::str("machine ", node.machine, ": ", daemon.audit().lastId(), " audit records, ",
                            daemon.audit().size(), " kept and ", daemon.audit().droppedCount(), " dropped"));
  }
  for (auto* heard : daemon.peers().peers().all()) {
    auto maybeKnown = daemon.trusted().findByDeviceId(heard->announce.deviceId);
    KJ_IF_MAYBE (known, maybeKnown) {
      if (known->identity.staticKey == heard->announce.staticKey) continue;
      trace.violation(kj::str("machine ", node.machine, " believes an announcement of ", known->name,
                              " with a key that is not its own"));
    }
  }
  for (auto& link : daemon.sessions().links()) {
    auto maybeSession = link->session();
    bool ready = link->state() == idl::SessionState::READY;
    KJ_IF_MAYBE (session, maybeSession) {
      auto wrong = checkMux((*session)->mux().core(), bounds);
      KJ_IF_MAYBE (what, wrong) {
        trace.violation(kj::str("machine ", node.machine, ", session with ", link->peer().name, ": ", *what));
      }
      checkOpenStreams(node, (*session)->mux().core(), link->peer().name, trace);
      if (!ready) {
        trace.violation(kj::str("machine ", node.machine, " has a live session with ", link->peer().name,
                                " and says that it has none"));
      }
    }
  }
}

}  // namespace nexus
