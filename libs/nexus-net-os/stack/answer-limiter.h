#pragma once
// Limits the answers that a stranger can provoke, so that the node is neither an amplifier nor a probe's oracle:
// challenge ACKs (RFC 5961, 7), resets to segments of no connection, ICMP errors (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f)
// and echo replies. What the node sends of its own accord is never limited. Owned by LwipStack; time is an argument; no
// lwIP.
#include "libs/nexus-net-os/stack/stack-counters.h"
#include "libs/nexus-net-os/stack/token-bucket.h"

#include <kj/array.h>

namespace nexus {

class AnswerLimiter {
 public:
  struct Rates {
    uint32_t challengeAck, reset, icmpError, echoReply;  // per second
  };

  AnswerLimiter(Rates rates, StackCounters& counters);

  // Whether a challenge ACK may be sent now.
  bool allowChallengeAck(uint64_t nowNs);

  // Whether a frame may leave that lwIP made while it processed a received frame; `connection` says that the received
  // frame belonged to a TCP connection.
  bool allowAnswer(kj::ArrayPtr<const kj::byte> frameHead, bool connection, uint64_t nowNs);

 private:
  TokenBucket challengeAcks, resets, icmpErrors, echoReplies;
  StackCounters& counters;
};

}  // namespace nexus
