#include "tools/vmtest/diagnosis.h"

#include <kj/debug.h>

#include "tools/vmtest/capture-merge.h"

namespace nexus::vmtest {

namespace {

using Captures = kj::ArrayPtr<const Capture* const>;

int missingExitSingle(const Failure& failure) {
  if (failure.kind == FailureKind::NODE_ENDED) return 18;
  switch (failure.phase) {
    case Phase::NETWORK:
      return 11;
    case Phase::SERVICES:
      return 12;
    case Phase::BUS:
      return 13;
    case Phase::MUX:
      return 17;
    case Phase::ISOLATION:
      return 14;
    case Phase::RESTART:
      return 15;
    case Phase::END:
      return 16;
    default:
      return EXIT_UNEXPECTED;
  }
}

// Of the remote phase, by what is missing.
int missingRemoteExit(const Failure& failure) {
  constexpr struct {
    const Marker& marker;
    int exit;
  } ROWS[] = {{marker::SELFTEST_REMOTE_RESOLVE, 51},
              {marker::SELFTEST_REMOTE_QUERY, 52},
              {marker::SELFTEST_REMOTE_PKGFS_STAT, 53},
              {marker::SELFTEST_REMOTE_PKGFS_OPEN, 54},
              {marker::SELFTEST_REMOTE_PKGFS_READ_STEP, 55},
              {marker::SELFTEST_REMOTE_PKGFS_CLOSE, 56},
              {marker::SELFTEST_REMOTE_PKGFS_READ, 57},
              {marker::BUS_REMOTE_PACKAGEFS, 58},
              {marker::SELFTEST_REMOTE_STATEFS, 60},
              {marker::BUS_REMOTE_STATEFS, 65},
              {marker::SELFTEST_REMOTE_RPC, 59}};
  for (auto& row : ROWS) {
    if (failure.rung != nullptr && failure.rung->marker == &row.marker) return row.exit;
  }
  return failure.node == 1 ? 58 : 52;
}

int missingExitTwo(const Failure& failure) {
  bool ended = failure.kind == FailureKind::NODE_ENDED;
  switch (failure.phase) {
    case Phase::DISCOVERY:
      return ended ? 32 + failure.node : 31;
    case Phase::SESSION:
      return ended ? 42 + failure.node : 41;
    case Phase::MUX:
      return ended ? 47 + failure.node : 46;
    case Phase::REMOTE:
      return missingRemoteExit(failure);
    case Phase::DENY:
      return ended ? 92 + failure.node : 91;
    case Phase::SOAK:
      return ended ? 86 + failure.node : 89;
    case Phase::CHAOS:
      return ended ? 106 + failure.node : 103;
    case Phase::END:
      return ended ? 95 + failure.node : 94;
    default:
      return EXIT_UNEXPECTED;
  }
}

int exitOf(const RunState& state, const Failure& failure) {
  bool line = failure.kind == FailureKind::NEGATIVE_LINE || failure.kind == FailureKind::FORBIDDEN_MARKER ||
              failure.kind == FailureKind::PANIC;
  if (line && failure.phase == Phase::SOAK) return SoakGate::EXIT_FAIL_LINE;
  switch (failure.kind) {
    case FailureKind::MISSING:
    case FailureKind::NODE_ENDED:
      return state.profile().nodes == 1 ? missingExitSingle(failure) : missingExitTwo(failure);
    case FailureKind::GATE:
      return failure.exit;
    case FailureKind::NEGATIVE_LINE:
      if (failure.line.startsWith("SELFTEST: mux ") || failure.line.startsWith("step mux-")) {
        return state.profile().nodes == 1 ? 17 : 49;
      }
      return failure.line.startsWith("SELFTEST: remote ") || failure.line.startsWith("step remote-") ? 66 : 78;
    case FailureKind::FORBIDDEN_MARKER:
      if (failure.rung != nullptr && failure.rung->phase == Phase::MUX) return state.profile().nodes == 1 ? 17 : 49;
      return 75;
    case FailureKind::ADDRESS_CONFLICT:
      return 75;
    case FailureKind::PANIC:
      return 73;
    case FailureKind::SERVICE_DIED:
      return 76;
    case FailureKind::DISAGREEMENT:
      return 74;
    case FailureKind::WIRE:
      return 79;
    case FailureKind::LAUNCH:
      return 71 + failure.node;
    case FailureKind::INTERRUPTED:
      return EXIT_INTERRUPTED;
  }
  KJ_UNREACHABLE;
}

struct Announcements {
  kj::uint sent = 0, received = 0;
};

Announcements announcements(const Capture& capture) {
  Announcements count;
  for (auto& frame : capture.frames()) {
    auto packet = decodePacket(frame.bytes);
    if (packet.kind != Packet::Kind::UDP || packet.destinationPort != DISCOVERY_PORT) continue;
    (frame.sent ? count.sent : count.received)++;
  }
  return count;
}

// A session that timed out, made more precise by what was on the wire. Without captures nothing is known, so nothing is
// refined.
int refineSession(int exit, Captures captures) {
  if (exit != 41 || captures.size() == 0) return exit;
  uint64_t syn = 0, synAck = 0;
  for (auto* capture : captures) {
    syn += capture->counters().syn;
    synAck += capture->counters().synAck;
  }
  return syn == 0 ? 44 : synAck == 0 ? 45 : 41;
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

struct Blame {
  kj::String hint, owner;
};

// What is likely and whose job it is, where the failure tells more than its code.
Blame blame(const CodeRow& row, const Failure& failure, Captures captures) {
  if (row.exit == 44) {
    // Nobody dialled: whether that is for want of announcements or in spite of them is two different jobs.
    for (auto* capture : captures) {
      if (announcements(*capture).received == 0) {
        return {kj::str("announcements of one node never reached the other: the link is cut, or nobody announces"),
                kj::str("dsoftbusd/discovery, or the link")};
      }
    }
    return {kj::str("announcements arrived and nobody dialled: the announced device is not in the trust table, or "
                    "connect is denied by policy"),
            kj::str("dsoftbusd/trust, or netstackd/connect")};
  }
  if (row.exit == 41 && captures.size() == 0) {
    return {
        kj::str("without a capture it is not known whether anybody heard or dialled the other: run it again without "
                "--pcap=off"),
        kj::str(row.subsystem)};
  }
  if (failure.kind == FailureKind::NEGATIVE_LINE && contains(failure.line, "answered denied")) {
    return {kj::str("no rule on the answering node allows this call: its policy, and the audit records above"),
            kj::str("dsoftbusd/policy")};
  }
  if (failure.kind == FailureKind::NODE_ENDED && failure.what.startsWith("QEMU ") &&
      contains(failure.what, "(signal ")) {
    return {kj::str("QEMU crashed, or somebody on the host killed it (a person, a lack of memory): qemu-",
                    NODE_NAMES[failure.node], ".log and the host's kernel log"),
            kj::str("host/qemu")};
  }
  if (row.exit == ChaosRun::EXIT_OVER_BUDGET || row.exit == ChaosRun::EXIT_CALLS) {
    // "kill NAME on A: ...": whose recovery it is.
    constexpr kj::StringPtr KILL = "kill "_kj;
    KJ_IF_MAYBE (end, failure.what.slice(KILL.size()).findFirst(' ')) {
      if (failure.what.startsWith(KILL))
        return {kj::str(row.hint),
                kj::str(kj::heapString(failure.what.begin() + KILL.size(), *end), ", ", row.subsystem)};
    }
  }
  if (failure.kind == FailureKind::SERVICE_DIED) {
    // "NAME ended with ...": the supervisor only reports it.
    return {kj::str(row.hint), kj::heapString(failure.what.begin(), failure.what.findFirst(' ').orDefault(0))};
  }
  // Where the table can only name the layer, the marker knows its owner.
  bool ownerKnown = failure.rung != nullptr && (row.exit < 30 || row.exit == 78);
  return {kj::str(row.hint), kj::str(ownerKnown ? failure.rung->marker->owner : row.subsystem)};
}

// What one node sent or got, with the first few frame numbers.
struct Sighting {
  kj::uint count = 0;
  kj::Vector<kj::String> numbers;

  void add(size_t number) {
    count++;
    if (numbers.size() < 6) numbers.add(kj::str(number));
  }
};

kj::String frameList(const Sighting& sighting) {
  if (sighting.count == 0) return kj::String();
  return kj::str(" (frames ", kj::strArray(sighting.numbers, ", "),
                 sighting.count > sighting.numbers.size() ? ", ..." : "", ")");
}

}  // namespace

kj::String describeSession(Captures captures) {
  if (captures.size() == 0) return kj::String();
  auto merged = mergeCaptures(captures);
  kj::Vector<kj::String> parts;
  for (kj::byte dialler = 0; dialler < captures.size(); dialler++) {
    Sighting sent, received, answered;
    kj::uint resets = 0;
    for (size_t i = 0; i < merged.size(); i++) {
      auto packet = decodePacket(merged[i].frame->bytes);
      bool own = merged[i].node == dialler;
      // Toward the other node's session port, or back from it.
      uint16_t port = SESSION_PORTS[1 - dialler];
      if (packet.isSyn() && packet.destinationPort == port && own && merged[i].frame->sent) sent.add(i + 1);
      if (packet.isSyn() && packet.destinationPort == port && !own && !merged[i].frame->sent) received.add(i + 1);
      if (packet.isSynAck() && packet.sourcePort == port && !own && merged[i].frame->sent) answered.add(i + 1);
      if (packet.isRst() && packet.usesPort(port) && own) resets++;
    }
    if (sent.count == 0) {
      parts.add(kj::str(NODE_NAMES[dialler], " sent no SYN"));
      continue;
    }
    auto other = captures.size() > 1 ? NODE_NAMES[1 - dialler] : "the peer"_kj;
    parts.add(kj::str(NODE_NAMES[dialler], " sent ", sent.count, " SYN to port ", SESSION_PORTS[1 - dialler],
                      frameList(sent), "; ", other, " received ", received.count, ", answered ", answered.count,
                      frameList(answered), "; RST ", resets));
  }
  return kj::strArray(parts, ". ");
}

kj::String describeCounts(Captures captures) {
  kj::Vector<kj::String> parts;
  for (size_t node = 0; node < captures.size(); node++) {
    auto& c = captures[node]->counters();
    parts.add(kj::str(captures.size() > 1 ? kj::str(NODE_NAMES[node], ' ') : kj::String(), c.frames, " (arp ", c.arp,
                      " icmp ", c.icmp, " udp ", c.udp, " tcp ", c.tcp, " other ", c.other, ")"));
  }
  return kj::strArray(parts, ", ");
}

kj::String describeDiscovery(Captures captures) {
  kj::Vector<kj::String> parts;
  for (size_t node = 0; node < captures.size(); node++) {
    auto count = announcements(*captures[node]);
    auto& totals = captures[node]->counters();
    parts.add(kj::str(NODE_NAMES[node], ": ", totals.frames, " frames, ", totals.arp, " ARP, ", count.sent,
                      " announcements sent, ", count.received, " received"));
  }
  return kj::strArray(parts, ". ");
}

Diagnosis diagnose(const RunState& state, const Failure& failure, Captures captures) {
  int exit = refineSession(exitOf(state, failure), captures);
  auto& row = codeRow(exit);
  auto likely = blame(row, failure, captures);
  // Without a dial it is the announcements that tell.
  bool byDiscovery = exit == 44;
  bool bySession = failure.phase >= Phase::SESSION && failure.phase <= Phase::CHAOS;
  bool anyNode = failure.kind == FailureKind::INTERRUPTED || failure.kind == FailureKind::WIRE;
  bool missing = failure.rung != nullptr && failure.kind != FailureKind::FORBIDDEN_MARKER &&
                 failure.kind != FailureKind::NEGATIVE_LINE;
  return Diagnosis{
      kj::str(state.profile().codePrefix, row.name),
      exit,
      failure.phase,
      kj::str(anyNode ? "-"_kj : NODE_NAMES[failure.node]),
      kj::mv(likely.owner),
      kj::str(failure.what),
      missing ? failure.rung->text() : kj::String(),
      kj::mv(likely.hint),
      kj::str(row.confidence),
      state.profile().nodes == 1 ? describeCounts(captures)
      : byDiscovery              ? kj::str(describeSession(captures), ". ", describeDiscovery(captures))
      : bySession                ? describeSession(captures)
                                 : describeDiscovery(captures),
      kj::str(state.profile().nodes == 1 ? "arp or udp or tcp"_kj
              : byDiscovery              ? "arp or udp.port == 37020 or tcp.flags.syn == 1"_kj
              : bySession                ? "tcp.port == 34567 or tcp.port == 34568"_kj
                                         : "arp or udp.port == 37020"_kj),
  };
}

Diagnosis preflightDiagnosis(const Profile& profile, int exit, kj::StringPtr message) {
  auto& row = codeRow(exit);
  return Diagnosis{kj::str(profile.codePrefix, row.name),
                   exit,
                   exit == EXIT_UNEXPECTED ? Phase::LAUNCH : Phase::BUILD,
                   kj::str("-"),
                   kj::str(row.subsystem),
                   kj::str(message),
                   kj::String(),
                   kj::str(row.hint),
                   kj::str(row.confidence),
                   kj::String(),
                   kj::String()};
}

}  // namespace nexus::vmtest
