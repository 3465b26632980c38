#pragma once
// The weather of a fleet: a wire (sim-fabric.h) that loses, repeats, delays and reorders datagrams; delays, stalls and
// cuts connections into odd segments; parts machines from each other in one direction or both; and lets a man in the
// middle flip bits. All of it from one seed. It looks for plaintext in everything that it carries, and keeps what
// clients said on the last connections, for those who would say it again. Machines are told apart by the last two bytes
// of their addresses. Owned by the fleet.
#include <deque>
#include <map>
#include <set>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "tests/sim/fleet-trace.h"
#include "tests/sim/sim-fabric.h"

namespace nexus {

// Probabilities are per thousand.
struct FleetWeather {
  kj::uint loss = 0, duplicate = 0, reorder = 0;  // datagrams
  kj::uint stall = 0, oddSegments = 0;            // segments
  kj::Duration spread = 0 * kj::SECONDS;          // of the latency, above the least
  kj::Duration longest = 800 * kj::MILLISECONDS;  // a datagram that is reordered, a connection that stalls
};

// Looks for words that must not be readable, in streams of bytes however they are cut.
class PlaintextWatch {
 public:
  static constexpr size_t LONGEST = 32;  // bytes of a word

  void forbid(kj::ArrayPtr<const kj::byte> word);

  // The next bytes of that flow: the word that has shown, or null.
  kj::Maybe<kj::ArrayPtr<const kj::byte>> look(uint64_t flow, kj::ArrayPtr<const kj::byte> bytes);
  kj::Maybe<kj::ArrayPtr<const kj::byte>> lookOnce(kj::ArrayPtr<const kj::byte> bytes) const;

 private:
  kj::Vector<kj::Array<kj::byte>> words;
  std::map<uint64_t, kj::Array<kj::byte>> tails;  // of each flow
};

class FleetWire final : public sim::Wire {
 public:
  FleetWire(FleetTrace& trace, uint64_t seed) : trace(trace), random(seed) {}
  KJ_DISALLOW_COPY_AND_MOVE(FleetWire);

  FleetWeather weather;
  kj::uint flipPerThousand = 0;  // a man in the middle: segments in which one bit is changed; ten times as many small
                                 // ones are replaced by an earlier one of the same size and direction, where there is
  PlaintextWatch watch;

  // By machine number (addressOf).
  void part(kj::uint from, kj::uint to, bool parted);
  void hold(kj::uint machine, bool held);  // it takes nothing in
  void healWays();                         // no two machines are parted

  // Machines that something has happened to since it was last forgotten. Numbers above 63 are not kept.
  void touch(kj::uint machine) { touched |= machine < 64 ? uint64_t(1) << machine : 0; }
  bool wasTouched(kj::uint machine) const { return machine < 64 && (touched >> machine & 1) != 0; }
  void forgetTouched() { touched = 0; }

  // Something of it was changed: it must end, by the keep-alive at the latest, as a changed length may just look like a
  // record of which the rest has not come.
  bool wasTampered(uint64_t connection) const { return tampered.count(connection) != 0; }

  // What clients have said on the last connections, from the first byte, at most 64 KiB each.
  struct Recording {
    kj::uint from, to;
    kj::Vector<kj::byte> bytes;
  };
  const std::map<uint64_t, Recording>& recordings() const { return kept; }

  static IpAddress addressOf(kj::uint machine) {
    return IpAddress::v4(10, 42, (machine + 1) >> 8, (machine + 1) & 0xff);
  }
  static kj::uint machineOf(const sim::Node& node) { return (node.address.v4Value() & 0xffff) - 1; }

  struct Counters {
    uint64_t datagrams = 0, lost = 0, duplicated = 0, reordered = 0;
    uint64_t segments = 0, stalled = 0, flipped = 0, replaced = 0, bytes = 0;
  };
  const Counters& counters() const { return counts; }

  // implements sim::Wire
  bool reaches(const sim::Node& from, const sim::Node& to) override;
  void onDatagram(const sim::Node& from, const sim::Node& to, kj::ArrayPtr<const kj::byte> bytes, kj::Duration latency,
                  kj::Vector<kj::Duration>& copies) override;
  kj::Duration onSegment(uint64_t connection, kj::uint side, const sim::Node& from, const sim::Node& to,
                         kj::ArrayPtr<kj::byte> bytes, kj::Duration latency) override;
  size_t segmentSize(size_t most) override;
  void onArrival(uint64_t connection, const sim::Node& from, const sim::Node& to, size_t bytes) override;

 private:
  static constexpr size_t RECORDINGS = 16, RECORDED = 65536, SMALL = 256;

  FleetTrace& trace;
  FixedEntropy random;
  std::map<std::pair<kj::uint, kj::uint>, bool> parted;
  std::map<kj::uint, bool> held;
  std::map<uint64_t, Recording> kept;
  std::set<uint64_t> tampered;  // connections
  // The last small segment of each size, of each direction of each connection, while there is a man in the middle.
  std::map<std::pair<uint64_t, size_t>, kj::Array<kj::byte>> said;
  Counters counts;
  uint64_t touched = 0;

  bool happens(kj::uint perThousand) { return perThousand > 0 && random.next() % 1000 < perThousand; }
  kj::Duration upTo(kj::Duration longest);
  void tamper(uint64_t connection, kj::uint side, const sim::Node& from, const sim::Node& to,
              kj::ArrayPtr<kj::byte> bytes);
  void record(uint64_t connection, const sim::Node& from, const sim::Node& to, kj::ArrayPtr<const kj::byte> bytes);
};

}  // namespace nexus
