#include "tests/sim/fleet-ledger.h"

#include <kj/debug.h>
#include <string.h>

namespace nexus {

kj::StringPtr fleetService(FleetRight right) {
  static constexpr kj::StringPtr NAMES[] = {"samgrd"_kj, "bundlemgrd"_kj, "stream:fleet/one"_kj, "stream:fleet/two"_kj};
  return NAMES[kj::uint(right)];
}

kj::StringPtr fleetOperation(FleetRight right) {
  static constexpr kj::StringPtr NAMES[] = {"resolve-status"_kj, "list"_kj, "open"_kj, "open"_kj};
  return NAMES[kj::uint(right)];
}

kj::StringPtr fleetStreamName(kj::uint n) {
  return fleetService(fleetStreamRight(n)).slice(strlen("stream:"));
}

// ---- calls

uint64_t CallLedger::attempt(kj::uint caller, kj::uint callee, FleetRight right) {
  counts.attempts++;
  attempts.push_back(Attempt{caller, callee, right, rights.now()});
  trace.note("call", attempts.size(), "from", caller, "to", callee, fleetService(right));
  return attempts.size();
}

void CallLedger::decided(kj::uint caller, kj::uint callee, FleetRight right, bool authenticated, bool ok) {
  trace.note("decided", caller, "at", callee, fleetService(right), ok ? "ok" : "refused");
  if (!ok) return;
  // What a backend has begun while it was allowed is finished.
  auto& begun = resolving[{caller, callee}];
  bool finishes = right == FleetRight::RESOLVE && begun > 0 && !rights.hasRevoked(callee, caller);
  if (right == FleetRight::RESOLVE) begun--;
  if (!authenticated || !(finishes || rights.allowsNow(caller, callee, right))) {
    trace.violation(kj::str("unauthorised: machine ", callee, " allowed machine ", caller, " ", fleetService(right),
                            " ", fleetOperation(right)));
  }
}

void CallLedger::executed(kj::uint callee, uint64_t token) {
  counts.executed++;
  trace.note("executed", token, "at", callee);
  if (token == 0 || token > attempts.size()) {
    trace.violation(kj::str("machine ", callee, " executed a call that nobody made: ", token));
    return;
  }
  auto& attempt = attempts[token - 1];
  attempt.executions++;
  if (attempt.right == FleetRight::RESOLVE) resolving[{attempt.caller, callee}]++;
  if (attempt.callee != callee) trace.violation(kj::str("call ", token, " was executed at another machine, ", callee));
  if (attempt.executions > 1) trace.violation(kj::str("call ", token, " was executed twice"));
  if (!rights.allowsNow(attempt.caller, callee, attempt.right)) {
    trace.violation(
        kj::str("unauthorised: call ", token, " of machine ", attempt.caller, " was executed at machine ", callee));
  }
}

// A list frame has no place for a token: it counts for the oldest call that may be it, or else for one that was asked
// while it was allowed; whether it still was is then told by its decision, which comes at once.
void CallLedger::executedList(kj::uint callee) {
  kj::Maybe<uint64_t> late;
  for (auto token : kj::range<uint64_t>(1, attempts.size() + 1)) {
    auto& attempt = attempts[token - 1];
    if (attempt.right != FleetRight::LIST || attempt.callee != callee || attempt.executions > 0) continue;
    if (rights.allowsNow(attempt.caller, callee, FleetRight::LIST)) return executed(callee, token);
    bool once = rights.wasAllowed(attempt.caller, callee, FleetRight::LIST, attempt.asked);
    if (once && !rights.hasRevoked(callee, attempt.caller) && late == nullptr) late = token;
  }
  KJ_IF_MAYBE (token, late) {
    trace.note("executed", *token, "at", callee);
    counts.executed++;
    attempts[*token - 1].executions++;
    return;
  }
  trace.violation(kj::str("machine ", callee, " executed a list that no allowed call asked for"));
}

void CallLedger::answered(uint64_t token, bool ok, bool denied) {
  auto& attempt = attempts.at(token - 1);
  trace.note("answered", token, ok ? "ok" : denied ? "denied" : "failed");
  if (attempt.answered) trace.violation(kj::str("call ", token, " was answered twice"));
  attempt.answered = true;
  auto& [caller, callee, right, asked, executions, isAnswered] = attempt;
  if (ok) {
    counts.ok++;
    bool allowed = rights.wasAllowed(caller, callee, right, asked);
    if (!allowed) trace.violation(kj::str("unauthorised: call ", token, " was answered"));
    // Which of several equal lists was executed cannot be told.
    if (attempt.executions == 0 && attempt.right != FleetRight::LIST) {
      trace.violation(kj::str("call ", token, " was answered and never executed"));
    }
  }
  if (denied) {
    counts.denied++;
    bool forbidden = rights.wasDenied(caller, callee, right, asked);
    if (!forbidden) trace.violation(kj::str("call ", token, " was denied, and a rule allows it"));
  }
}

// ---- streams

StreamLedger::StreamLedger(FleetTrace& trace, const FleetRights& rights, uint64_t seed) : trace(trace), rights(rights) {
  auto value = FleetTrace::scramble(seed ^ 0x63616e617279);
  memcpy(word, &value, CANARY);
}

uint64_t StreamLedger::open(kj::uint opener, kj::uint acceptor, kj::uint name) {
  streams.push_back(Stream{.opener = opener, .acceptor = acceptor, .name = name, .asked = rights.now()});
  trace.note("stream", streams.size(), "from", opener, "to", acceptor, fleetStreamName(name));
  return streams.size();
}

void StreamLedger::opened(uint64_t id, bool ok) {
  auto& stream = find(id);
  trace.note("stream", id, ok ? "taken" : "refused");
  ok ? counts.opened++ : counts.refused++;
  if (ok && !rights.wasAllowed(stream.opener, stream.acceptor, fleetStreamRight(stream.name), stream.asked)) {
    trace.violation(kj::str("unauthorised: stream ", id, " of machine ", stream.opener, " was taken"));
  }
}

uint64_t StreamLedger::blockTail(uint64_t id, kj::uint direction, uint64_t block) const {
  if (block == 0) return id << 1 | direction;
  return FleetTrace::scramble(id * 0x9e3779b97f4a7c15 + direction + (block << 20));
}

void StreamLedger::fill(uint64_t id, kj::uint direction, uint64_t from, kj::ArrayPtr<kj::byte> out) const {
  kj::byte block[BLOCK];
  memcpy(block, word, CANARY);
  for (size_t done = 0; done < out.size();) {
    size_t offset = (from + done) % BLOCK;
    auto tail = blockTail(id, direction, (from + done) / BLOCK);
    memcpy(block + CANARY, &tail, sizeof(tail));
    size_t n = kj::min(BLOCK - offset, out.size() - done);
    memcpy(out.begin() + done, block + offset, n);
    done += n;
  }
}

kj::Array<kj::byte> StreamLedger::next(uint64_t id, kj::uint direction, size_t n) {
  auto& d = find(id).directions[direction];
  auto bytes = kj::heapArray<kj::byte>(n);
  fill(id, direction, d.sent, bytes);
  d.sent += n;
  return bytes;
}

void StreamLedger::closed(uint64_t id, kj::uint direction) {
  trace.note("stream", id, "direction", direction, "closed");
  find(id).directions[direction].closed = true;
}

void StreamLedger::revoked(kj::uint reader, kj::uint writer) {
  for (auto& stream : streams) {
    for (kj::uint direction : {0, 1}) {
      auto& from = direction == 0 ? stream.opener : stream.acceptor;
      auto& to = direction == 0 ? stream.acceptor : stream.opener;
      auto& d = stream.directions[direction];
      if (from == writer && to == reader) d.trusted = kj::min(d.trusted, d.sent);
    }
  }
}

void StreamLedger::withdrawn(kj::uint opener, kj::uint acceptor, kj::uint name, bool sessionLives) {
  for (auto& stream : streams) {
    if (stream.opener != opener || stream.acceptor != acceptor || stream.name != name || !stream.accepted) continue;
    auto& in = stream.directions[0];
    auto& out = stream.directions[1];
    if (!stream.withdrawn && !(in.ended && out.ended)) counts.withdrawn++;
    stream.withdrawn = true;
    // What both ends had closed before may be over by now, as far as the bus knows; then it can still be read out.
    if (!sessionLives || stream.session != sessions[{acceptor, opener}]) {
      in.allowed = kj::min(in.allowed, in.sent);
      in.mayEnd = in.mayEnd && in.closed;
    } else if (!in.closed || !out.closed) {
      in.allowed = kj::min(in.allowed, in.received);
      in.mayEnd = false;
    }
    out.allowed = kj::min(out.allowed, out.sent);
    out.mayEnd = out.mayEnd && out.closed;
  }
}

kj::Maybe<StreamLedger::UnderWay> StreamLedger::anyUnderWay(kj::uint acceptor, uint64_t chance) const {
  kj::Vector<UnderWay> all;
  for (auto& stream : streams) {
    bool open = stream.accepted && !stream.left[0] && !stream.left[1];
    if (open && stream.acceptor == acceptor) all.add(UnderWay{stream.opener, stream.name});
  }
  if (all.size() == 0) return nullptr;
  return all[chance % all.size()];
}

void StreamLedger::programsEnd(kj::uint machine) {
  for (auto& stream : streams) {
    if (stream.opener == machine) stream.directions[0].torn |= !stream.directions[0].closed;
    if (stream.acceptor == machine) stream.directions[1].torn |= !stream.directions[1].closed;
  }
}

void StreamLedger::checkWithdrawn() {
  for (auto id : kj::range<uint64_t>(1, streams.size() + 1)) {
    auto& stream = find(id);
    if (!stream.withdrawn || (stream.left[0] && stream.left[1])) continue;
    trace.violation(kj::str("stream ", id, ", whose rule was withdrawn, has not ended at machine ",
                            stream.left[0] ? stream.acceptor : stream.opener));
  }
}

uint64_t StreamLedger::accepted(kj::ArrayPtr<const kj::byte> block, kj::uint opener, kj::uint acceptor,
                                kj::StringPtr name) {
  uint64_t tail = 0;
  if (block.size() == BLOCK && memcmp(block.begin(), word, CANARY) == 0) memcpy(&tail, block.begin() + CANARY, 8);
  uint64_t id = tail >> 1;
  if (id == 0 || id > streams.size() || (tail & 1) != 0) {
    trace.violation(kj::str("machine ", acceptor, " accepted a stream that nobody opened"));
    return 0;
  }
  trace.note("stream", id, "accepted at", acceptor);
  auto& stream = find(id);
  if (stream.accepted) trace.violation(kj::str("stream ", id, " was accepted twice"));
  stream.accepted = true;
  stream.session = sessions[{acceptor, opener}];
  if (stream.opener != opener || stream.acceptor != acceptor || name != fleetStreamName(stream.name)) {
    trace.violation(
        kj::str("stream ", id, " was accepted as ", name, " by machine ", acceptor, " from machine ", opener));
  }
  if (!rights.allowsNow(stream.opener, stream.acceptor, fleetStreamRight(stream.name))) {
    trace.violation(kj::str("unauthorised: stream ", id, " of machine ", stream.opener, " was accepted"));
  }
  return id;
}

void StreamLedger::received(uint64_t id, kj::uint direction, kj::ArrayPtr<const kj::byte> bytes) {
  trace.note("stream", id, "direction", direction, "read", bytes.size());
  auto& d = find(id).directions[direction];
  if (d.received + bytes.size() > d.trusted) {
    trace.violation(kj::str("stream ", id, " direction ", direction,
                            " gave bytes of a machine that was not trusted when it wrote them"));
  }
  if (d.received + bytes.size() > d.allowed) {
    trace.violation(kj::str("stream ", id, " direction ", direction, " goes on although its rule was withdrawn"));
  }
  if (d.ended) trace.violation(kj::str("stream ", id, " gave bytes after its end"));
  if (d.received + bytes.size() > d.sent) {
    trace.violation(kj::str("stream ", id, " direction ", direction, " gave more bytes than were sent"));
  }
  auto expected = kj::heapArray<kj::byte>(bytes.size());
  fill(id, direction, d.received, expected);
  if (expected != bytes) {
    trace.violation(kj::str("stream ", id, " direction ", direction, ": bytes lost, repeated or changed between ",
                            d.received, " and ", d.received + bytes.size()));
  }
  d.received += bytes.size();
  counts.bytes += bytes.size();
}

void StreamLedger::ended(uint64_t id, kj::uint direction) {
  auto& d = find(id).directions[direction];
  trace.note("stream", id, "direction", direction, "ended at", d.received);
  d.ended = true;
  counts.ended++;
  if (!d.mayEnd) {
    trace.violation(kj::str("stream ", id, " direction ", direction, " ended in order, and its rule was withdrawn"));
  }
  if (d.torn) return;  // the end is behind what of the write had been taken
  if (!d.closed) trace.violation(kj::str("stream ", id, " direction ", direction, " ended, and nobody closed it"));
  if (d.received != d.sent) {
    trace.violation(
        kj::str("stream ", id, " direction ", direction, " ended after ", d.received, " of ", d.sent, " bytes"));
  }
}

bool StreamLedger::isWhole(uint64_t id) const {
  auto& stream = streams.at(id - 1);
  return stream.directions[0].ended && stream.directions[1].ended;
}

}  // namespace nexus
