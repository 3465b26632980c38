#include "selftest/dma-probe/dma-attack.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr MacAddress SECRET_MAC{{0x02, 0xc5, 0xc5, 0xc5, 0xc5, 0x01}};
constexpr uint32_t FOREIGN_BYTES = 2048;  // of the target page

// Waits for an ordinary answer, and reports whether one for `secret` came before it. Null when the gateway stays
// silent.
kj::Promise<kj::Maybe<bool>> awaitFence(ProbeNic& nic, kj::Timer& timer, const AttackPlan& plan) {
  auto deadline = timer.now() + AttackPlan::ANSWER_TIME;
  bool secretSeen = false;
  for (;;) {
    auto received = co_await nic.receive(deadline);
    KJ_IF_MAYBE (r, received) {
      KJ_IF_MAYBE (arp, ArpPacket::tryParse(r->frame)) {
        if (arp->operation != ArpPacket::REPLY || arp->senderIp != plan.gateway) continue;
        if (arp->targetIp == plan.secret) secretSeen = true;
        if (arp->targetIp == plan.own) co_return secretSeen;
      }
    } else {
      co_return nullptr;
    }
  }
}

kj::Array<kj::byte> question(const MacAddress& mac, const Ipv4Bytes& from, const Ipv4Bytes& gateway) {
  return ArpPacket{
      .operation = ArpPacket::REQUEST, .senderMac = mac, .senderIp = from, .targetMac = {}, .targetIp = gateway}
      .encode();
}

class Attack {
 public:
  Attack(VirtioTransport& transport, InterruptSource& interrupt, const ProbeNic::Pages& pages, Canary& canary,
         kj::Timer& timer, const AttackPlan& plan)
      : transport(transport), interrupt(interrupt), pages(pages), canary(canary), timer(timer), plan(plan) {}

  kj::Promise<AttackOutcome> run() {
    AttackOutcome outcome;
    outcome.unproven = co_await read(outcome);
    if (outcome.unproven == nullptr) outcome.unproven = co_await write(outcome);
    co_return kj::mv(outcome);
  }

 private:
  VirtioTransport& transport;
  InterruptSource& interrupt;
  ProbeNic::Pages pages;
  Canary& canary;
  kj::Timer& timer;
  AttackPlan plan;

  kj::Promise<kj::Own<ProbeNic>> start() { return ProbeNic::start(transport, interrupt, pages, timer, plan.confined); }

  // Transmit attack: the device is told to send the secret page. The gateway answers in order, so an answer to it would
  // come first.
  kj::Promise<kj::Maybe<kj::String>> read(AttackOutcome& outcome) {
    auto nic = co_await start();
    nic->lendBuffers();
    nic->sendForeign(canary.secretAddress(), ArpPacket::SIZE);
    nic->send(question(nic->macAddress(), plan.own, plan.gateway));
    KJ_IF_MAYBE (secretSeen, co_await awaitFence(*nic, timer, plan)) {
      outcome.leaked = *secretSeen;
      co_return nullptr;
    }
    co_return kj::str("no gateway answered the fence of the transmit attack");
  }

  // Receive attack: the only place the device has for an answer is the target page.
  kj::Promise<kj::Maybe<kj::String>> write(AttackOutcome& outcome) {
    auto nic = co_await start();
    nic->lendForeign(canary.targetAddress(), FOREIGN_BYTES);
    nic->send(question(nic->macAddress(), plan.own, plan.gateway));
    auto deadline = timer.now() + AttackPlan::ANSWER_TIME;
    auto used = co_await nic->receive(deadline);
    KJ_IF_MAYBE (r, used) {
      KJ_ASSERT(r->foreign, "the device used a buffer it does not have");
    } else {
      co_return kj::str("the device never tried to receive into the foreign page");
    }
    // A second answer, into a buffer of ours, comes after everything the device did for the first.
    nic->lendBuffers();
    nic->send(question(nic->macAddress(), plan.own, plan.gateway));
    auto fence = co_await awaitFence(*nic, timer, plan);
    if (fence == nullptr) co_return kj::str("no gateway answered the fence of the receive attack");
    outcome.changedBytes = canary.changedBytes();
    outcome.corrupted = outcome.changedBytes > 0;
    co_return nullptr;
  }
};

}  // namespace

kj::String AttackOutcome::reason() const {
  kj::Vector<kj::String> parts;
  if (leaked) parts.add(kj::str("leaked: the device sent a page of another process"));
  if (corrupted) parts.add(kj::str("corrupted: the device wrote ", changedBytes, " bytes of another process"));
  KJ_IF_MAYBE (why, unproven) parts.add(kj::str("unproven: ", *why));
  return kj::strArray(parts, ", ");
}

kj::Array<kj::byte> secretFrame(const AttackPlan& plan) {
  return question(SECRET_MAC, plan.secret, plan.gateway);
}

kj::Promise<AttackOutcome> attack(VirtioTransport& transport, InterruptSource& receiveInterrupt,
                                  const ProbeNic::Pages& pages, Canary& canary, kj::Timer& timer,
                                  const AttackPlan& plan) {
  auto run = kj::heap<Attack>(transport, receiveInterrupt, pages, canary, timer, plan);
  auto promise = run->run();
  return promise.attach(kj::mv(run));
}

}  // namespace nexus
