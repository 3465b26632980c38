#pragma once
// What LwipStack is made of. Private to lwip-stack.c++ and link-glue.c++.
#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/stack/answer-limiter.h"
#include "libs/nexus-net-os/stack/block-cache.h"
#include "libs/nexus-net-os/stack/frame-filter.h"
#include "libs/nexus-net-os/stack/input-hook.h"
#include "libs/nexus-net-os/stack/lwip-globals.h"
#include "libs/nexus-net-os/stack/lwip-stack.h"
#include "libs/nexus-net-os/stack/lwip-timers.h"
#include "libs/nexus-net-os/stack/pbuf-bridge.h"
#include "libs/nexus-net-os/stack/random-pool.h"
#include "libs/nexus-net-os/stack/tcp-isn.h"
#include "libs/nexus-net-os/stack/tcp-orphans.h"
#include "lwip/netif.h"

namespace nexus {

struct LwipStack::Impl final : public LwipHost, public FramePort::Receiver {
  Impl(LwipStack& stack, kj::Timer& timer, Entropy& entropy, FramePort& port, const StackOptions& options);
  ~Impl() noexcept(false);

  LwipStack& stack;
  kj::Timer& timer;
  Entropy& entropy;
  FramePort& port;
  const StackOptions options;
  StackCounters counters;
  AnswerLimiter limiter;
  InputHook hook;
  PbufBridge bridge;
  TcpIsn isn;
  TcpOrphans orphans;
  kj::Maybe<LwipTimers> timers;
  ::netif link{};
  netif_ext_callback_t linkCallback{};
  idl::NetConfig::Origin ipv4Origin = idl::NetConfig::Origin::STATIC;
  RandomPool randomPool;
  BlockCache blocks;
  size_t heapBytes = 0;

  WaitList changes;          // generation() has grown
  WaitList earlierDeadline;  // the timer loop sleeps too long
  uint64_t armedUntil = UINT64_MAX;

  int depth = 0;            // calls into lwIP under way
  bool inBatch = false;     // batchDone() will come
  bool processing = false;  // lwIP works on a received frame
  bool flushNeeded = false;
  bool laterPending = false;
  kj::Promise<void> later = kj::READY_NOW;

  void start();
  void stop();

  uint64_t nowNs() { return (timer.now() - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS; }
  uint64_t now() { return nowNs() / 1'000'000; }

  // link-glue.c++: lwIP's network interface ----
  void linkUp();
  void linkDown();
  static Impl& of(::netif* link) { return *static_cast<Impl*>(link->state); }
  static err_t initLink(::netif* link);
  err_t send(pbuf& frame);
  FilterView view();
  void receive(pbuf* frame);
  bool quotesLiveConnection(kj::ArrayPtr<const kj::byte> quote);
  void applyLinkState();

  // after a call into lwIP ----
  void settle();
  void deliverLoopback();
  kj::Promise<void> timerLoop();

  // implements FramePort::Receiver ----
  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta& meta) override;
  void batchDone() override;
  void linkChanged() override;

  // implements LwipHost ----
  uint32_t nowMs() noexcept override { return static_cast<uint32_t>(now()); }
  uint32_t random() noexcept override { return randomPool.next(); }
  uint32_t tcpIsn(const uint8_t* local, uint16_t localPort, const uint8_t* remote, uint16_t remotePort,
                  size_t addressLength) noexcept override;
  bool tcpSegment(::tcp_pcb& pcb, const ::tcp_hdr& header, uint32_t payloadLength) noexcept override;
  void* heapAllocate(size_t bytes) noexcept override;
  void heapRelease(void* memory) noexcept override;
};

}  // namespace nexus
