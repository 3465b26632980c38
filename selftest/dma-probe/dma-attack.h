#pragma once
// The two attacks on memory that a driver could try, and how to tell whether they worked: a transmit descriptor and a
// receive descriptor that name a page of another process. Judged by effects on the wire and in that page, not by what
// the kernel logs. Works on any VirtioTransport, so that both verdicts are tested. Needs a gateway that answers ARP in
// order; where none answers it says so.
#include <kj/string.h>

#include "selftest/dma-probe/arp-packet.h"
#include "selftest/dma-probe/canary.h"
#include "selftest/dma-probe/probe-nic.h"

namespace nexus {

struct AttackOutcome {
  bool leaked = false;             // the gateway answered the frame in the secret page
  bool corrupted = false;          // a received frame was written into the target page
  kj::Maybe<kj::String> unproven;  // why the attacks could not be judged

  bool isolated() const { return !leaked && !corrupted && unproven == nullptr; }

  // "leaked, corrupted 64 bytes" and so on, for the FAIL line.
  kj::String reason() const;

  uint32_t changedBytes = 0;
};

struct AttackPlan {
  static constexpr kj::Duration ANSWER_TIME = 3 * kj::SECONDS;  // for each answer of the gateway

  Ipv4Bytes gateway{10, 0, 2, 2};
  Ipv4Bytes own{10, 0, 2, 15};     // asks the ordinary questions
  Ipv4Bytes secret{10, 0, 2, 77};  // asks from the secret page; nobody else uses it
  bool confined = true;            // the device must offer ACCESS_PLATFORM
};

// What must lie at the start of the secret page: an ARP request for the gateway, complete, from the address that nobody
// else uses.
kj::Array<kj::byte> secretFrame(const AttackPlan& plan);

// Runs both attacks, one after the other, each on a freshly reset device.
kj::Promise<AttackOutcome> attack(VirtioTransport& transport, InterruptSource& receiveInterrupt,
                                  const ProbeNic::Pages& pages, Canary& canary, kj::Timer& timer,
                                  const AttackPlan& plan);

}  // namespace nexus
