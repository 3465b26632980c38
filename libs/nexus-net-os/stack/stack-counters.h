#pragma once
// What the stack counts: plain values that only grow (gauges end in Now), owned by LwipStack, read by whoever serves
// Status. A name in the daemon's status is "stack." and the field's name.
#include <cstdint>

namespace nexus {

#define NEXUS_STACK_COUNTERS(X)                                                                                 \
  X(rxFrames) /* frames handed to lwIP */                                                                       \
  X(rxBytes)                                                                                                    \
  X(rxCopied)              /* of them copied whole: short, or too many frames held in place */                  \
  X(rxInPlace)             /* of them with their payload left in the port's memory */                           \
  X(rxReflected)           /* own frames that a hub sent back; dropped */                                       \
  X(rxNoBuffer)            /* dropped: no pbuf */                                                               \
  X(rxTruncated)           /* filter: headers cut off */                                                        \
  X(rxBadLength)           /* filter: length fields that contradict the frame */                                \
  X(rxOversized)           /* filter: longer than the MTU allows */                                             \
  X(rxForeignMac)          /* filter: not for this node's MAC address */                                        \
  X(rxBadSourceMac)        /* filter: group address as source */                                                \
  X(rxMartian)             /* filter: impossible source address: loopback, multicast, broadcast, unspecified */ \
  X(rxLand)                /* filter: own address as source */                                                  \
  X(rxLoopbackDestination) /* filter: 127/8 or ::1 as destination */                                            \
  X(rxZeroChecksum)        /* filter: UDP over IPv6 without checksum (RFC 8200 8.1) */                          \
  X(rxBadNeighbour)        /* filter: neighbour discovery that RFC 4861 7.1 refuses */                          \
  X(rxBadPacketTooBig)     /* filter: Packet Too Big below 1280 (RFC 8201 4) */                                 \
  X(rxStrayPacketTooBig)   /* Packet Too Big that quotes no live connection */                                  \
  X(rxBadArp)              /* filter: malformed ARP, or one that claims our or a group address */               \
  X(rxUnknownType)         /* filter: neither IPv4, IPv6 nor ARP */                                             \
  X(rxLinkBroadcast)       /* filter: unicast TCP or ICMP in a link broadcast */                                \
  X(rxBadFragment)         /* filter: fragments that overlap headers or overflow */                             \
  X(rxSourceRoute)         /* filter: routing header type 0 (RFC 5095) */                                       \
  X(txFrames)                                                                                                   \
  X(txBytes)                                                                                                    \
  X(txDropped)          /* the port did not take it: full or link down */                                       \
  X(tcpDataWithoutAck)  /* hook: segment without ACK flag (RFC 9293 3.10.7.4) */                                \
  X(tcpBadAck)          /* hook: ACK of data never sent, or ancient (RFC 5961 5) */                             \
  X(tcpHalfOpenNow)     /* gauge: handshakes not complete */                                                    \
  X(tcpHalfOpenEvicted) /* oldest half-open connection given up for a new SYN */                                \
  X(tcpAcceptOverflow)  /* SYN or final ACK ignored: the accept queue is full */                                \
  X(tcpOrphansNow)      /* gauge: closed by their holder, still sending */                                      \
  X(tcpOrphansAborted)                                                                                          \
  X(tcpConnected)                                                                                               \
  X(tcpAccepted)                                                                                                \
  X(udpReceived)                                                                                                \
  X(udpOverflow)          /* oldest datagram of a full queue dropped */                                         \
  X(limitedChallengeAcks) /* not sent: token bucket empty */                                                    \
  X(limitedResets)                                                                                              \
  X(limitedIcmpErrors)                                                                                          \
  X(limitedEchoReplies)                                                                                         \
  X(ipReassemblyFailed)                                                                                         \
  X(poolExhausted) /* a pool of lwIP had nothing left */                                                        \
  X(outOfMemory)   /* lwIP's heap was at its limit */                                                           \
  X(heapBytesNow)  /* gauge: lwIP's heap */                                                                     \
  X(lentPiecesNow) /* gauge: received frames held in place */

struct StackCounters {
#define NEXUS_FIELD(name) uint64_t name = 0;
  NEXUS_STACK_COUNTERS(NEXUS_FIELD)
#undef NEXUS_FIELD

  // Calls fn("name", value) for each, in the order above.
  template <typename Fn>
  void forEach(Fn&& fn) const {
#define NEXUS_FIELD(name) fn(#name, name);
    NEXUS_STACK_COUNTERS(NEXUS_FIELD)
#undef NEXUS_FIELD
  }
};

}  // namespace nexus
