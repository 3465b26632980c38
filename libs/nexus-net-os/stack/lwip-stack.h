#pragma once
// The network stack of one node: lwIP with a frame port below it, and the one door to lwIP's globals. At most one
// exists in a process at a time; another may be made after it is destroyed, and finds lwIP as new (but for the phase of
// router solicitations). Owned by a daemon or a test; time, randomness and frames are handed in. TcpConn, TcpListener,
// UdpConn, IcmpEcho and DhcpClient stand on it. Knows nothing of RPC, clients or policy.
//
// Single thread, one kj event loop, nothing blocks, nothing polls: lwIP runs when a frame arrives, when one of its
// deadlines has come, or when one of the classes above calls it.
#include <kj/async.h>
#include <kj/list.h>
#include <kj/timer.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/base/entropy.h"
#include "libs/nexus-net-os/frame/frame-port.h"
#include "libs/nexus-net-os/net/ip-address.h"
#include "libs/nexus-net-os/net/mac-address.h"
#include "libs/nexus-net-os/stack/stack-counters.h"

struct netif;

namespace nexus {

class TcpOrphans;

// How the node is reached over IPv4: exactly one address.
struct Ipv4Config {
  IpAddress address;
  kj::byte prefixLength = 24;
  IpAddress gateway;  // `any`: none

  bool operator==(const Ipv4Config&) const = default;
};

struct StackOptions {
  // Make and announce the EUI-64 link-local IPv6 address (RFC 4862): sends neighbour solicitation, MLD and router
  // solicitation.
  bool linkLocal6 = true;

  // Received frames whose memory the stack may hold in place at once; beyond it, frames are copied.
  size_t maxLentPieces = 128;

  // Bytes of lwIP's heap: frames copied in, segments to send. Beyond it nothing is allocated and callers see OVERLOADED
  // or wait.
  size_t heapLimit = 64 << 20;

  // Connections that nobody holds any more and that still send what was accepted; beyond it, the oldest is aborted.
  size_t maxOrphans = 128;

  // Tokens per second and burst for each kind of answer that a stranger can provoke: challenge ACK, RST, ICMP error and
  // echo reply.
  uint32_t challengeAckPerSecond = 100;
  uint32_t resetPerSecond = 100;
  uint32_t icmpErrorPerSecond = 100;
  uint32_t echoReplyPerSecond = 1000;
};

class LwipStack final {
 public:
  // FAILED when another LwipStack exists in this process. `timer`, `entropy` and `port` outlive the stack.
  LwipStack(kj::Timer& timer, Entropy& entropy, FramePort& port, StackOptions options = {});

  // Aborts every connection (their holders see DISCONNECTED) and gives every lent frame back to the port.
  ~LwipStack() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LwipStack);

  // Receives frames and serves lwIP's deadlines until cancelled. Nothing moves without it. Fails only when the port
  // fails.
  kj::Promise<void> runLoop();

  // addresses ----

  // Sets the one IPv4 address (replaces another) or takes it away. Connections bound to an address that goes are
  // aborted by lwIP.
  void setIpv4(const Ipv4Config& config, idl::NetConfig::Origin origin);
  void clearIpv4();

  kj::Maybe<Ipv4Config> ipv4();
  idl::NetConfig::Origin ipv4Origin();

  // The link-local address once it has passed duplicate address detection.
  kj::Maybe<IpAddress> linkLocal6();

  MacAddress macAddress();
  LinkState linkState();

  // Grows with every change of link, address or lease; never 0.
  uint32_t generation() const { return currentGeneration; }

  // Resolves when generation() differs from `known`; at once if it does already.
  kj::Promise<void> whenChanged(uint32_t known);

  const StackCounters& counters();

  // for the classes of this folder ----

  // Somebody who holds a pcb: told before lwIP's state goes away. Unlinks itself when destroyed.
  class Member {
   public:
    explicit Member(LwipStack& stack);
    virtual ~Member() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Member);

    // Frees every pcb and pbuf it holds; never touches the stack again.
    virtual void stackGone() noexcept = 0;

    // Null once stackGone() was called.
    LwipStack* aliveStack() { return owner; }

   private:
    LwipStack* owner;
    kj::ListLink<Member> link;
    friend class LwipStack;
  };

  kj::Timer& clock();
  Entropy& random();
  ::netif& link();
  TcpOrphans& orphans();
  StackCounters& count();

  // A random port of the dynamic range, 49152 to 65535 (RFC 6335, 6).
  uint16_t randomPort();

  // Stands around every call into lwIP: afterwards frames are flushed, deadlines re-read and the node's own loopback
  // delivered.
  class Call {
   public:
    explicit Call(LwipStack& stack);
    ~Call() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Call);

   private:
    LwipStack& stack;
  };

  // Something that generation() covers has changed.
  void noteChange();

  // Who gives the next IPv4 address that lwIP sets by itself.
  void expectOrigin(idl::NetConfig::Origin origin);

 private:
  struct Impl;
  kj::List<Member, &Member::link> members;
  uint32_t currentGeneration = 1;
  kj::Own<Impl> impl;
};

}  // namespace nexus
