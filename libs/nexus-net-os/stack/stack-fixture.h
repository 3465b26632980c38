#pragma once
// One real stack on virtual time with a scripted peer on its link: what every test of the stack starts from.
#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-stack.h"
#include "libs/nexus-net-os/stack/scripted-peer.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {

struct StackFixture {
  static StackOptions ipv4Only() {
    StackOptions options;
    options.linkLocal6 = false;
    return options;
  }

  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  LwipStack stack;
  kj::Promise<void> running;

  explicit StackFixture(StackOptions options = ipv4Only(), uint64_t seed = 1, bool withAddress = true)
      : entropy(seed), stack(sim.timer, entropy, peer, options), running(start()) {
    if (withAddress) stack.setIpv4({ScriptedPeer::STACK, 24, {}}, idl::NetConfig::Origin::STATIC);
    sim.settle();
    peer.sent.clear();
  }

  // What the stack still sends while it ends concerns nobody; the test's variables may be gone.
  ~StackFixture() noexcept(false) {
    peer.lose = nullptr;
    peer.onFrame = nullptr;
  }

  kj::Promise<void> start() {
    return stack.runLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(FATAL, "the stack's loop has ended", e); });
  }

  // The next frame that the stack has sent and `wanted` accepts; the test fails when there is none.
  WireFrame expect(std::function<bool(const WireFrame&)> wanted) {
    sim.settle();
    return KJ_ASSERT_NONNULL(peer.take(kj::mv(wanted)), "no such frame was sent");
  }
  bool quiet(std::function<bool(const WireFrame&)> unwanted) {
    sim.settle();
    return peer.take(kj::mv(unwanted)) == nullptr;
  }
};

}  // namespace nexus
