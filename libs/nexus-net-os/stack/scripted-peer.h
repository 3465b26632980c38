#pragma once
// The other end of a stack's link, for tests: a frame port whose far side is a script. It answers ARP for its address
// by itself (unless told not to), keeps everything the stack sends, and sends what the test says. Owned by a test; time
// is virtual.
#include <deque>
#include <functional>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/frame/frame-port.h"
#include "libs/nexus-net-os/stack/wire-frame.h"

namespace nexus {

class ScriptedPeer final : public FramePort, private ReceivedPiece::Owner {
 public:
  static constexpr MacAddress STACK_MAC{{0x52, 0x54, 0x00, 0x12, 0x34, 0x0a}};
  static constexpr MacAddress PEER_MAC{{0x52, 0x54, 0x00, 0x12, 0x34, 0x0b}};
  static constexpr MacAddress BROADCAST{{255, 255, 255, 255, 255, 255}};
  static constexpr IpAddress STACK = IpAddress::v4(10, 42, 0, 10);
  static constexpr IpAddress PEER = IpAddress::v4(10, 42, 0, 11);

  ~ScriptedPeer() noexcept(false);

  // what the test sets ----
  bool answerArp = true;
  bool reflect = false;  // as a hub: the stack hears itself
  LinkState state{true, 1500, ""};
  size_t capacity = SIZE_MAX;                     // transmit() refuses beyond it until flush()
  std::function<bool(const WireFrame&)> lose;     // frames of the stack that never arrive
  std::function<void(const WireFrame&)> onFrame;  // sees every frame that arrives, in place of `sent`

  // what the stack did ----
  std::deque<WireFrame> sent;
  size_t framesSent = 0, flushes = 0, lost = 0;

  // The oldest frame that `wanted` accepts; those before it are forgotten. Null when there is none.
  kj::Maybe<WireFrame> take(std::function<bool(const WireFrame&)> wanted);

  // sending to the stack, as one batch for each turn of the event loop ----
  void send(Bytes frame);
  void sendPieces(kj::Vector<Bytes> pieces, FrameMeta meta = {});
  void sendIp(kj::byte protocol, kj::ArrayPtr<const kj::byte> payload, IpAddress destination = STACK,
              IpAddress source = PEER);
  void sendUdp(uint16_t from, uint16_t to, kj::ArrayPtr<const kj::byte> payload, IpAddress destination = STACK,
               IpAddress source = PEER);
  void sendTcp(const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload = nullptr,
               kj::ArrayPtr<const kj::byte> options = nullptr, IpAddress source = PEER);

  // Tells the stack that `state` has changed.
  void changeLink();

  // Pieces that the stack has not given back.
  size_t outstanding() const { return buffers.size(); }

  // implements FramePort ----
  MacAddress macAddress() override { return STACK_MAC; }
  LinkState linkState() override { return state; }
  bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) override;
  void flush() override;
  kj::Promise<void> receiveLoop(Receiver& receiver) override;

 private:
  struct Incoming {
    kj::Vector<Bytes> pieces;
    FrameMeta meta;
  };
  std::deque<Incoming> incoming;
  bool linkPending = false;
  WaitList arrived;
  size_t queued = 0;
  std::deque<std::pair<uint32_t, Bytes>> buffers;
  uint32_t nextToken = 1;

  void release(uint32_t token) noexcept override;
  void deliver(Receiver& receiver, Incoming& frame);
};

}  // namespace nexus
