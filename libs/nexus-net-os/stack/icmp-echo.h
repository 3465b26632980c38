#pragma once
// Sends ICMP echo requests (RFC 792) and tells the reply that is ours from every other: same identifier, sequence
// number, payload and sender. Owned by whoever pings. The stack's own answers to requests of others need nothing of
// this.
#include <kj/list.h>

#include "libs/nexus-net-os/stack/lwip-stack.h"

struct raw_pcb;

namespace nexus {

class IcmpEcho final : private LwipStack::Member {
 public:
  static constexpr size_t MAX_PAYLOAD = 1400;
  static constexpr size_t MAX_PENDING = 64;

  struct Result {
    idl::Outcome outcome;  // ok, timedOut, unreachable (no route, or an ICMP error that quotes our request)
    kj::Duration roundTrip = 0 * kj::SECONDS;
  };

  // OVERLOADED when no block is free. The identifier is random.
  explicit IcmpEcho(LwipStack& stack);
  ~IcmpEcho() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(IcmpEcho);

  // One echo request to an IPv4 address. Dropping the promise forgets it. FAILED for anything but unicast IPv4 or a
  // payload that is too long, OVERLOADED beyond MAX_PENDING.
  kj::Promise<Result> ping(IpAddress to, kj::Array<const kj::byte> payload, kj::Duration timeout);

 private:
  struct Callbacks;
  friend struct Callbacks;
  struct Pending {
    Pending(kj::PromiseFulfiller<Result>& fulfiller, IcmpEcho& echo, IpAddress to, uint16_t sequence,
            kj::ArrayPtr<const kj::byte> payload);
    ~Pending() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Pending);

    void finish(idl::Outcome outcome);

    kj::PromiseFulfiller<Result>& fulfiller;
    IcmpEcho& echo;
    IpAddress to;
    uint16_t sequence;
    kj::Array<const kj::byte> payload;
    kj::TimePoint sent;
    kj::ListLink<Pending> link;
  };

  LwipStack& stack;
  ::raw_pcb* pcb;  // null once the stack is gone
  uint16_t identifier;
  uint16_t nextSequence = 1;
  kj::List<Pending, &Pending::link> pending;

  bool reply(const IpAddress& from, kj::ArrayPtr<const kj::byte> icmp);
  void unreachable(kj::ArrayPtr<const kj::byte> quote);
  kj::Maybe<idl::Outcome> send(const IpAddress& to, uint16_t sequence, kj::ArrayPtr<const kj::byte> payload);
  void stackGone() noexcept override;
};

}  // namespace nexus
