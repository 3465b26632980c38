#include "tests/sim/fleet-wire.h"

#include <kj/debug.h>
#include <kj/encoding.h>
#include <string.h>

namespace nexus {

// ---- plaintext

void PlaintextWatch::forbid(kj::ArrayPtr<const kj::byte> word) {
  KJ_REQUIRE(word.size() > 1 && word.size() <= LONGEST);
  words.add(kj::heapArray(word));
}

kj::Maybe<kj::ArrayPtr<const kj::byte>> PlaintextWatch::lookOnce(kj::ArrayPtr<const kj::byte> bytes) const {
  if (bytes.size() == 0) return nullptr;  // the end of a connection
  for (auto& word : words) {
    if (memmem(bytes.begin(), bytes.size(), word.begin(), word.size()) != nullptr) return word.asPtr();
  }
  return nullptr;
}

kj::Maybe<kj::ArrayPtr<const kj::byte>> PlaintextWatch::look(uint64_t flow, kj::ArrayPtr<const kj::byte> bytes) {
  KJ_IF_MAYBE (word, lookOnce(bytes)) return *word;
  // What lies across the border to the last piece, and then the new border.
  auto& tail = tails[flow];
  auto head = bytes.slice(0, kj::min(LONGEST, bytes.size()));
  kj::Vector<kj::byte> border(tail.size() + head.size());
  border.addAll(tail);
  border.addAll(head);
  auto found = lookOnce(border.asPtr());
  if (bytes.size() >= LONGEST) {
    tail = kj::heapArray(bytes.slice(bytes.size() - LONGEST, bytes.size()));
  } else {
    auto keep = kj::min(LONGEST, border.size());
    tail = kj::heapArray<kj::byte>(border.asPtr().slice(border.size() - keep, border.size()));
  }
  return found;
}

// ---- the ways between machines

void FleetWire::part(kj::uint from, kj::uint to, bool now) {
  parted[{from, to}] = now;
}

void FleetWire::hold(kj::uint machine, bool now) {
  held[machine] = now;
}

void FleetWire::healWays() {
  parted.clear();
}

bool FleetWire::reaches(const sim::Node& from, const sim::Node& to) {
  auto isHeld = held.find(machineOf(to));
  if (isHeld != held.end() && isHeld->second) return false;
  auto found = parted.find({machineOf(from), machineOf(to)});
  return found == parted.end() || !found->second;
}

kj::Duration FleetWire::upTo(kj::Duration longest) {
  if (longest <= 0 * kj::SECONDS) return 0 * kj::SECONDS;
  return int64_t(random.next() % uint64_t(longest / kj::NANOSECONDS)) * kj::NANOSECONDS;
}

// ---- datagrams

void FleetWire::onDatagram(const sim::Node& from, const sim::Node& to, kj::ArrayPtr<const kj::byte> bytes,
                           kj::Duration latency, kj::Vector<kj::Duration>& copies) {
  counts.datagrams++;
  KJ_IF_MAYBE (word, watch.lookOnce(bytes)) {
    trace.violation(kj::str("plaintext in a datagram of machine ", machineOf(from), ": ", kj::encodeHex(*word)));
  }
  if (happens(weather.loss)) {
    counts.lost++;
    trace.note("lost", machineOf(from), "to", machineOf(to));
    return;
  }
  auto flight = [&] {
    bool slow = happens(weather.reorder);
    counts.reordered += slow ? 1 : 0;
    return latency + upTo(slow ? weather.longest : weather.spread);
  };
  copies.add(flight());
  if (happens(weather.duplicate)) {
    counts.duplicated++;
    copies.add(flight());
  }
}

// ---- connections

kj::Duration FleetWire::onSegment(uint64_t connection, kj::uint side, const sim::Node& from, const sim::Node& to,
                                  kj::ArrayPtr<kj::byte> bytes, kj::Duration latency) {
  counts.segments++;
  counts.bytes += bytes.size();
  KJ_IF_MAYBE (word, watch.look(connection << 1 | side, bytes)) {
    trace.violation(
        kj::str("plaintext on connection ", connection, " of machine ", machineOf(from), ": ", kj::encodeHex(*word)));
  }
  if (side == 0) record(connection, from, to, bytes);
  if (bytes.size() > 0 && flipPerThousand > 0) tamper(connection, side, from, to, bytes);
  bool stalls = happens(weather.stall);
  counts.stalled += stalls ? 1 : 0;
  return latency + upTo(stalls ? weather.longest : weather.spread);
}

// One bit is changed; or what was said before stands in the place of as many bytes: often a whole record.
void FleetWire::tamper(uint64_t connection, kj::uint side, const sim::Node& from, const sim::Node& to,
                       kj::ArrayPtr<kj::byte> bytes) {
  auto& before = said[{connection << 1 | side, bytes.size()}];
  bool canRepeat = before.size() == bytes.size() && before != bytes;
  auto now = bytes.size() <= SMALL ? kj::heapArray<kj::byte>(bytes) : nullptr;
  if (canRepeat && happens(10 * flipPerThousand)) {
    counts.replaced++;
    tampered.insert(connection);
    memcpy(bytes.begin(), before.begin(), bytes.size());
    trace.note("said again", machineOf(from), "to", machineOf(to), "connection", connection, "bytes", bytes.size());
  } else if (happens(flipPerThousand)) {
    counts.flipped++;
    tampered.insert(connection);
    auto at = random.next() % bytes.size();
    bytes[at] ^= 1 << (random.next() % 8);
    trace.note("flipped a bit", machineOf(from), "to", machineOf(to), "connection", connection);
  }
  before = kj::mv(now);
}

size_t FleetWire::segmentSize(size_t most) {
  if (!happens(weather.oddSegments)) return most;
  return 1 + random.next() % kj::min(most, size_t(random.next() % 2 == 0 ? 8 : 1460));
}

void FleetWire::onArrival(uint64_t connection, const sim::Node& from, const sim::Node& to, size_t bytes) {
  touch(machineOf(to));
  trace.note("arrived", machineOf(from), "to", machineOf(to), "connection", connection, "bytes", bytes);
}

void FleetWire::record(uint64_t connection, const sim::Node& from, const sim::Node& to,
                       kj::ArrayPtr<const kj::byte> bytes) {
  auto found = kept.find(connection);
  if (found == kept.end()) {
    if (kept.size() >= RECORDINGS) kept.erase(kept.begin());
    found = kept.emplace(connection, Recording{machineOf(from), machineOf(to), {}}).first;
  }
  auto& recorded = found->second.bytes;
  recorded.addAll(bytes.slice(0, kj::min(bytes.size(), RECORDED - recorded.size())));
}

}  // namespace nexus
