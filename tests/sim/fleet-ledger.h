#pragma once
// What the programs of a fleet asked of the bus and what came of it: the model that the run is held against. Written
// without a look at the product: who may do what is a table of its own, and the bytes of a stream are a function of
// their place. Whoever reads or serves tells it here, and what cannot be is a violation. Owned by the fleet.
#include <kj/array.h>

#include <deque>
#include <map>

#include "tests/sim/fleet-trace.h"

namespace nexus {

// What a rule can allow in a fleet. STREAM_n: to open a stream of streamName(n).
enum class FleetRight : kj::byte { RESOLVE, LIST, STREAM_0, STREAM_1 };
constexpr kj::uint FLEET_RIGHTS = 4;
constexpr kj::uint FLEET_STREAM_NAMES = 2;

kj::StringPtr fleetService(FleetRight right);    // as the policy table names it
kj::StringPtr fleetOperation(FleetRight right);  // the same
kj::StringPtr fleetStreamName(kj::uint n);
constexpr FleetRight fleetStreamRight(kj::uint n) {
  return FleetRight(kj::uint(FleetRight::STREAM_0) + n);
}

// Who may do what where, by the numbers of the machines: what the configuration files say, as they change.
class FleetRights {
 public:
  explicit FleetRights(kj::uint machines)
      : machines(machines),
        table(kj::heapArray<Cell>(machines * machines * FLEET_RIGHTS)),
        revoked(kj::heapArray<bool>(machines * machines)) {
    for (auto& cell : revoked) cell = false;
  }
  void allow(kj::uint caller, kj::uint callee, FleetRight right) { set(caller, callee, right, true); }
  void set(kj::uint caller, kj::uint callee, FleetRight right, bool allowed) {
    auto& cell = table[at(caller, callee, right)];
    if (cell.allowed == allowed) return;
    cell.allowed = allowed;
    cell.changed = ++changes;
  }
  bool allows(kj::uint caller, kj::uint callee, FleetRight right) const {
    return caller < machines && callee < machines && table[at(caller, callee, right)].allowed;
  }

  // What was asked at a moment may have been decided at any time since then.
  using Moment = uint64_t;
  Moment now() const { return changes; }
  bool wasAllowed(kj::uint caller, kj::uint callee, FleetRight right, Moment since) const {
    return allows(caller, callee, right) || hasChanged(caller, callee, right, since);
  }
  bool wasDenied(kj::uint caller, kj::uint callee, FleetRight right, Moment since) const {
    return !allows(caller, callee, right) || hasChanged(caller, callee, right, since);
  }

  // Whether `machine` has taken `peer` out of its trust table: from then on nothing of that peer may reach its programs
  // and backends, whatever the rules say.
  void revoke(kj::uint machine, kj::uint peer, bool isRevoked) { revoked[machine * machines + peer] = isRevoked; }
  bool hasRevoked(kj::uint machine, kj::uint peer) const {
    return machine < machines && peer < machines && revoked[machine * machines + peer];
  }
  bool allowsNow(kj::uint caller, kj::uint callee, FleetRight right) const {
    return allows(caller, callee, right) && !hasRevoked(callee, caller);
  }
  const kj::uint machines;

 private:
  struct Cell {
    bool allowed = false;
    Moment changed = 0;
  };
  kj::Array<Cell> table;
  kj::Array<bool> revoked;
  Moment changes = 0;

  size_t at(kj::uint caller, kj::uint callee, FleetRight right) const {
    return (caller * machines + callee) * FLEET_RIGHTS + kj::uint(right);
  }
  bool hasChanged(kj::uint caller, kj::uint callee, FleetRight right, Moment since) const {
    return caller < machines && callee < machines && table[at(caller, callee, right)].changed > since;
  }
};

// Calls. Each that can carry one carries a token, so that its execution is known to be of that call.
class CallLedger {
 public:
  CallLedger(FleetTrace& trace, const FleetRights& rights) : trace(trace), rights(rights) {}
  KJ_DISALLOW_COPY_AND_MOVE(CallLedger);

  uint64_t attempt(kj::uint caller, kj::uint callee, FleetRight right);

  // At the callee: what its policy decided, told when the answer is ready, and what reached a backend. A backend takes
  // its time for RESOLVE, and a call that it was given is finished, even if its rule is withdrawn meanwhile.
  void decided(kj::uint caller, kj::uint callee, FleetRight right, bool authenticated, bool ok);
  void executed(kj::uint callee, uint64_t token);
  void executedList(kj::uint callee);

  // At the caller.
  void answered(uint64_t token, bool ok, bool denied);

  struct Counters {
    uint64_t attempts = 0, executed = 0, ok = 0, denied = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  struct Attempt {
    kj::uint caller, callee;
    FleetRight right;
    FleetRights::Moment asked;
    kj::uint executions = 0;
    bool answered = false;
  };
  FleetTrace& trace;
  const FleetRights& rights;
  std::deque<Attempt> attempts;                                // the token is the place, from 1
  std::map<std::pair<kj::uint, kj::uint>, int64_t> resolving;  // executed and not yet allowed, by caller and callee
  Counters counts;
};

// Streams: direction 0 is from the opener. Each byte is decided by (stream, direction, place), and half of them are the
// canary that must never be seen on the wire.
class StreamLedger {
 public:
  static constexpr size_t BLOCK = 16;  // bytes: canary, then what tells the place
  static constexpr size_t CANARY = 8;

  StreamLedger(FleetTrace& trace, const FleetRights& rights, uint64_t seed);
  KJ_DISALLOW_COPY_AND_MOVE(StreamLedger);

  kj::ArrayPtr<const kj::byte> canary() const { return kj::arrayPtr(word, CANARY); }

  uint64_t open(kj::uint opener, kj::uint acceptor, kj::uint name);
  void opened(uint64_t id, bool ok);

  // The next n bytes of a direction, which its writer is about to write. The first BLOCK bytes of direction 0 tell the
  // id.
  kj::Array<kj::byte> next(uint64_t id, kj::uint direction, size_t n);
  void closed(uint64_t id, kj::uint direction);  // everything was written, and the end said

  // The reader has taken the writer out of its trust table: what the writer has not written by now must never come out.
  void revoked(kj::uint reader, kj::uint writer);

  // A new session of that machine with that peer: streams that it accepts from now on are of it.
  void sessionBegan(kj::uint machine, kj::uint peer) { sessions[{machine, peer}]++; }

  // The acceptor has withdrawn the rule under which the opener has streams of that name: all of them end with a reset.
  // At the acceptor nothing more comes out, not even the end; at the opener only what was written before. sessionLives:
  // the last session that began is not over; a stream of one that is has ended already, and what had arrived can be
  // read out.
  void withdrawn(kj::uint opener, kj::uint acceptor, kj::uint name, bool sessionLives = true);

  // One stream that the acceptor has accepted and that neither end has left; null when there is none.
  struct UnderWay {
    kj::uint opener, name;
  };
  kj::Maybe<UnderWay> anyUnderWay(kj::uint acceptor, uint64_t chance) const;

  // The programs of a machine let go of all their streams, in the middle of writes too. Not for a crash: that must
  // never look like the end of a stream.
  void programsEnd(kj::uint machine);

  // The program at that end (0: the opener) is done with the stream, one way or the other.
  void left(uint64_t id, kj::uint side) { find(id).left[side] = true; }

  // After time enough: whoever still waits at a stream whose rule was withdrawn is a violation.
  void checkWithdrawn();

  // The stream that begins with this block, as the machine that accepted it believes it to be. 0 after a violation.
  uint64_t accepted(kj::ArrayPtr<const kj::byte> block, kj::uint opener, kj::uint acceptor, kj::StringPtr name);
  void received(uint64_t id, kj::uint direction, kj::ArrayPtr<const kj::byte> bytes);
  void ended(uint64_t id, kj::uint direction);  // the reader saw the end

  // Both directions were read to their ends.
  bool isWhole(uint64_t id) const;

  struct Counters {
    uint64_t opened = 0, refused = 0, bytes = 0, ended = 0, withdrawn = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  struct Direction {
    uint64_t sent = 0, received = 0;
    uint64_t trusted = kj::maxValue;  // bytes that were written while the reader trusted the writer
    uint64_t allowed = kj::maxValue;  // bytes that may come out although the rule was withdrawn
    bool mayEnd = true;               // in order
    bool closed = false, torn = false, ended = false;
  };
  struct Stream {
    kj::uint opener, acceptor, name;
    FleetRights::Moment asked;
    bool accepted = false, withdrawn = false;
    uint64_t session = 0;  // of the acceptor, in which it accepted it
    bool left[2]{};
    Direction directions[2]{};
  };
  FleetTrace& trace;
  const FleetRights& rights;
  kj::byte word[CANARY];
  std::deque<Stream> streams;                                  // the id is the place, from 1
  std::map<std::pair<kj::uint, kj::uint>, uint64_t> sessions;  // how many have begun, by machine and peer
  Counters counts;

  Stream& find(uint64_t id) { return streams.at(id - 1); }
  uint64_t blockTail(uint64_t id, kj::uint direction, uint64_t block) const;
  void fill(uint64_t id, kj::uint direction, uint64_t from, kj::ArrayPtr<kj::byte> out) const;
};

}  // namespace nexus
