#include "libs/nexus-net-os/stack/lwip-stack.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "libs/nexus-net-os/stack/lwip-stack-impl.h"
#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"

namespace nexus {

// members ----

LwipStack::Member::Member(LwipStack& stack) : owner(&stack) {
  stack.members.add(*this);
}

LwipStack::Member::~Member() noexcept(false) {
  if (link.isLinked()) owner->members.remove(*this);
}

// life ----

LwipStack::LwipStack(kj::Timer& timer, Entropy& entropy, FramePort& port, StackOptions options)
    : impl(kj::heap<Impl>(*this, timer, entropy, port, options)) {
  impl->start();
}

LwipStack::~LwipStack() noexcept(false) {
  while (!members.empty()) {
    Member& member = members.front();
    members.remove(member);
    member.stackGone();
    member.owner = nullptr;
  }
  impl->stop();
}

LwipStack::Impl::Impl(LwipStack& stack, kj::Timer& timer, Entropy& entropy, FramePort& port,
                      const StackOptions& options)
    : stack(stack),
      timer(timer),
      entropy(entropy),
      port(port),
      options(options),
      limiter({options.challengeAckPerSecond, options.resetPerSecond, options.icmpErrorPerSecond,
               options.echoReplyPerSecond},
              counters),
      hook(limiter, counters),
      bridge(options.maxLentPieces, counters),
      isn(entropy),
      orphans(options.maxOrphans, counters),
      randomPool(entropy) {
  setLwipHost(*this);
}

LwipStack::Impl::~Impl() noexcept(false) {
  clearLwipHost(*this);
}

void LwipStack::Impl::start() {
  inBatch = true;  // nothing is deferred while the stack is being made
  lwip_init();     // every table and pool as new
  linkUp();
  timers.emplace(now());
  inBatch = false;
  Call settleOnce(stack);
}

void LwipStack::Impl::stop() {
  inBatch = true;
  later = kj::READY_NOW;
  // Who held a connection has been told; what is left belongs to nobody: orphans, half-open connections, TIME-WAIT.
  while (tcp_active_pcbs != nullptr) tcp_abort(tcp_active_pcbs);
  while (tcp_tw_pcbs != nullptr) tcp_abort(tcp_tw_pcbs);
  linkDown();
  if (flushNeeded) port.flush();
  if (heapBytes != 0) KJ_LOG(ERROR, "lwIP still holds memory at its end", heapBytes);
}

kj::Promise<void> LwipStack::runLoop() {
  return impl->port.receiveLoop(*impl).exclusiveJoin(impl->timerLoop());
}

kj::Promise<void> LwipStack::Impl::timerLoop() {
  for (;;) {
    {
      Call call(stack);
      KJ_ASSERT_NONNULL(timers).runDue(now());
    }
    armedUntil = KJ_ASSERT_NONNULL(timers).next().orDefault(UINT64_MAX);
    auto earlier = earlierDeadline.wait();
    if (armedUntil == UINT64_MAX) {
      co_await earlier;
    } else {
      auto deadline = kj::origin<kj::TimePoint>() + armedUntil * kj::MILLISECONDS;
      co_await timer.atTime(deadline).exclusiveJoin(kj::mv(earlier));
    }
  }
}

// calls into lwIP ----

LwipStack::Call::Call(LwipStack& stack) : stack(stack) {
  ++stack.impl->depth;
}

LwipStack::Call::~Call() noexcept(false) {
  if (--stack.impl->depth == 0) stack.impl->settle();
}

void LwipStack::Impl::settle() {
  KJ_IF_MAYBE (t, timers) {
    t->refresh(now());
    if (t->next().orDefault(UINT64_MAX) < armedUntil) earlierDeadline.wakeAll();
  }
  if (inBatch || laterPending || !(flushNeeded || link.loop_first != nullptr)) return;
  // Once for everything that this turn of the event loop sends.
  laterPending = true;
  later = kj::evalLast([this]() {
            deliverLoopback();
            if (flushNeeded) port.flush();
            flushNeeded = false;
            laterPending = false;  // last: settle() must not replace the promise that runs here
          }).eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, "sending to the link failed", e); });
}

void LwipStack::Impl::deliverLoopback() {
  if (link.loop_first == nullptr) return;
  Call call(stack);
  hook.beginFrame();
  netif_poll(&link);
}

// addresses ----

void LwipStack::setIpv4(const Ipv4Config& config, idl::NetConfig::Origin origin) {
  KJ_REQUIRE(config.address.isV4() && !config.address.isMulticast() && config.address.v4Value() != 0,
             "not an IPv4 address for a node", config.address);
  KJ_REQUIRE(config.prefixLength >= 1 && config.prefixLength <= 32, "not an IPv4 prefix length", config.prefixLength);
  KJ_REQUIRE(config.gateway.isAny() || config.gateway.isV4(), "the gateway is not an IPv4 address", config.gateway);
  {
    Call call(*this);
    ip4_addr_t address = toLwip4(config.address), mask{}, gateway{};
    mask.addr = lwip_htonl(config.prefixLength == 0 ? 0 : 0xffffffffu << (32 - config.prefixLength));
    if (config.gateway.isV4()) gateway = toLwip4(config.gateway);
    impl->ipv4Origin = origin;
    netif_set_addr(&impl->link, &address, &mask, &gateway);
  }
}

void LwipStack::clearIpv4() {
  Call call(*this);
  netif_set_addr(&impl->link, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4);
}

kj::Maybe<Ipv4Config> LwipStack::ipv4() {
  auto* address = netif_ip4_addr(&impl->link);
  if (ip4_addr_isany(address)) return nullptr;
  Ipv4Config config;
  config.address = fromLwip(*address);
  config.prefixLength = __builtin_popcount(netif_ip4_netmask(&impl->link)->addr);
  auto* gateway = netif_ip4_gw(&impl->link);
  if (!ip4_addr_isany(gateway)) config.gateway = fromLwip(*gateway);
  return config;
}

idl::NetConfig::Origin LwipStack::ipv4Origin() {
  return impl->ipv4Origin;
}

kj::Maybe<IpAddress> LwipStack::linkLocal6() {
  if (!ip6_addr_ispreferred(netif_ip6_addr_state(&impl->link, 0))) return nullptr;
  return fromLwip(*netif_ip_addr6(&impl->link, 0));
}

void LwipStack::expectOrigin(idl::NetConfig::Origin origin) {
  impl->ipv4Origin = origin;
}

MacAddress LwipStack::macAddress() {
  return impl->port.macAddress();
}
LinkState LwipStack::linkState() {
  return impl->port.linkState();
}

void LwipStack::noteChange() {
  if (++currentGeneration == 0) currentGeneration = 1;
  impl->changes.wakeAll();
}

kj::Promise<void> LwipStack::whenChanged(uint32_t known) {
  if (known != currentGeneration) return kj::READY_NOW;
  return impl->changes.wait();
}

// counters ----

const StackCounters& LwipStack::counters() {
  auto& c = impl->counters;
  c.tcpHalfOpenNow = InputHook::halfOpen();
  c.tcpOrphansNow = TcpOrphans::count();
  c.heapBytesNow = impl->heapBytes;
  c.lentPiecesNow = impl->bridge.lent();
  c.ipReassemblyFailed = lwip_stats.ip_frag.memerr + lwip_stats.ip6_frag.memerr;
  uint64_t exhausted = 0;
  for (int i = 0; i < MEMP_MAX; ++i) exhausted += lwip_stats.memp[i]->err;
  c.poolExhausted = exhausted;
  return c;
}

StackCounters& LwipStack::count() {
  return impl->counters;
}

// implements LwipHost ----

uint32_t LwipStack::Impl::tcpIsn(const uint8_t* local, uint16_t localPort, const uint8_t* remote, uint16_t remotePort,
                                 size_t addressLength) noexcept {
  return isn.next(kj::arrayPtr(local, addressLength), localPort, kj::arrayPtr(remote, addressLength), remotePort,
                  nowNs() / 1000);
}

bool LwipStack::Impl::tcpSegment(tcp_pcb& pcb, const tcp_hdr& header, uint32_t payloadLength) noexcept {
  return hook.allow(pcb, header, payloadLength, nowNs());
}

void* LwipStack::Impl::heapAllocate(size_t bytes) noexcept {
  void* memory = blocks.allocate(bytes);
  if (memory == nullptr) return nullptr;
  size_t size = BlockCache::sizeOf(memory);
  if (size > options.heapLimit - kj::min(heapBytes, options.heapLimit)) {
    ++counters.outOfMemory;
    blocks.release(memory);
    return nullptr;
  }
  heapBytes += size;
  return memory;
}

void LwipStack::Impl::heapRelease(void* memory) noexcept {
  heapBytes -= BlockCache::sizeOf(memory);
  blocks.release(memory);
}

// for the classes of this folder ----

kj::Timer& LwipStack::clock() {
  return impl->timer;
}
Entropy& LwipStack::random() {
  return impl->entropy;
}
::netif& LwipStack::link() {
  return impl->link;
}
TcpOrphans& LwipStack::orphans() {
  return impl->orphans;
}

uint16_t LwipStack::randomPort() {
  return 49152 + impl->entropy.u32() % 16384;
}  // a power of two: no bias

}  // namespace nexus
