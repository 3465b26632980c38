#include "libs/nexus-net-os/stack/answer-limiter.h"

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

enum class Kind { OTHER, RESET, ICMP_ERROR, ECHO_REPLY };

Kind classify(kj::ArrayPtr<const kj::byte> frame) {
  if (frame.size() < 14 + 20 + 8) return Kind::OTHER;
  auto packet = frame.slice(14, frame.size());
  size_t transport = 0;
  kj::byte protocol = 0;
  if (be16(frame, 12) == 0x0800) {
    transport = (packet[0] & 15) * 4;
    protocol = packet[9];
    if (be16(packet, 6) & 0x1fff) return Kind::OTHER;  // not the first fragment
  } else if (be16(frame, 12) == 0x86dd && packet.size() >= 48) {
    transport = 40;
    protocol = packet[6];
  } else {
    return Kind::OTHER;
  }
  if (packet.size() < transport + 8) return Kind::OTHER;
  kj::byte type = packet[transport];
  switch (protocol) {
    case 6:
      return packet.size() >= transport + 14 && packet[transport + 13] & 4 ? Kind::RESET : Kind::OTHER;
    case 1:
      if (type == 0) return Kind::ECHO_REPLY;
      return type == 3 || type == 11 || type == 12 ? Kind::ICMP_ERROR : Kind::OTHER;
    case 58:
      if (type == 129) return Kind::ECHO_REPLY;
      return type < 128 ? Kind::ICMP_ERROR : Kind::OTHER;
    default:
      return Kind::OTHER;
  }
}

bool takeOrCount(TokenBucket& bucket, uint64_t nowNs, uint64_t& counter) {
  bool allowed = bucket.take(nowNs);
  if (!allowed) ++counter;
  return allowed;
}

}  // namespace

AnswerLimiter::AnswerLimiter(Rates rates, StackCounters& counters)
    : challengeAcks(rates.challengeAck),
      resets(rates.reset),
      icmpErrors(rates.icmpError),
      echoReplies(rates.echoReply),
      counters(counters) {}

bool AnswerLimiter::allowChallengeAck(uint64_t nowNs) {
  return takeOrCount(challengeAcks, nowNs, counters.limitedChallengeAcks);
}

bool AnswerLimiter::allowAnswer(kj::ArrayPtr<const kj::byte> frameHead, bool connection, uint64_t nowNs) {
  switch (classify(frameHead)) {
    case Kind::OTHER:
      return true;
    case Kind::RESET:
      return connection || takeOrCount(resets, nowNs, counters.limitedResets);
    case Kind::ICMP_ERROR:
      return takeOrCount(icmpErrors, nowNs, counters.limitedIcmpErrors);
    case Kind::ECHO_REPLY:
      return takeOrCount(echoReplies, nowNs, counters.limitedEchoReplies);
  }
  return true;
}

}  // namespace nexus
