#include "libs/nexus-net-os/stack/scripted-peer.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {

ScriptedPeer::~ScriptedPeer() noexcept(false) {
  KJ_ASSERT(buffers.empty(), "the stack has kept received frames", buffers.size());
}

void ScriptedPeer::release(uint32_t token) noexcept {
  for (auto i = buffers.begin(); i != buffers.end(); ++i) {
    if (i->first == token) {
      buffers.erase(i);
      return;
    }
  }
  KJ_LOG(FATAL, "a piece was given back twice", token);
  abort();
}

bool ScriptedPeer::transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) {
  if (!state.up || queued >= capacity) return false;
  ++queued;
  ++framesSent;
  kj::Vector<kj::byte> bytes;
  for (auto& piece : pieces) bytes.addAll(piece);
  if (reflect) send(kj::heapArray(bytes.asPtr()));
  WireFrame frame = parseFrame(bytes.releaseAsArray());
  if (lose && lose(frame)) {
    ++lost;
    return true;
  }
  if (answerArp && frame.isArp() && be16(frame.packet, 6) == 1 && be32(frame.packet, 24) == PEER.v4Value()) {
    send(ethernetFrame(STACK_MAC, PEER_MAC, 0x0806,
                       arpPacket(2, PEER_MAC, PEER, STACK_MAC, IpAddress::v4(be32(frame.packet, 14)))));
  }
  if (onFrame) {
    onFrame(frame);
  } else {
    sent.push_back(kj::mv(frame));
  }
  return true;
}

void ScriptedPeer::flush() {
  ++flushes;
  queued = 0;
}

kj::Maybe<WireFrame> ScriptedPeer::take(std::function<bool(const WireFrame&)> wanted) {
  while (!sent.empty()) {
    auto frame = kj::mv(sent.front());
    sent.pop_front();
    if (wanted(frame)) return kj::mv(frame);
  }
  return nullptr;
}

void ScriptedPeer::send(Bytes frame) {
  kj::Vector<Bytes> pieces;
  pieces.add(kj::mv(frame));
  sendPieces(kj::mv(pieces));
}

void ScriptedPeer::sendPieces(kj::Vector<Bytes> pieces, FrameMeta meta) {
  incoming.push_back({kj::mv(pieces), meta});
  arrived.wakeAll();
}

void ScriptedPeer::sendIp(kj::byte protocol, kj::ArrayPtr<const kj::byte> payload, IpAddress destination,
                          IpAddress source) {
  bool group = destination.isMulticast() || destination.v4Value() == 0xffffffff || (destination.v4Value() & 255) == 255;
  send(ethernetFrame(group ? BROADCAST : STACK_MAC, PEER_MAC, 0x0800,
                     ipv4Packet({source, destination, protocol}, payload)));
}

void ScriptedPeer::sendUdp(uint16_t from, uint16_t to, kj::ArrayPtr<const kj::byte> payload, IpAddress destination,
                           IpAddress source) {
  sendIp(17, udpDatagram(source, destination, from, to, payload), destination, source);
}

void ScriptedPeer::sendTcp(const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload,
                           kj::ArrayPtr<const kj::byte> options, IpAddress source) {
  sendIp(6, tcpSegment(source, STACK, fields, payload, options), STACK, source);
}

void ScriptedPeer::changeLink() {
  linkPending = true;
  arrived.wakeAll();
}

void ScriptedPeer::deliver(Receiver& receiver, Incoming& frame) {
  kj::Vector<ReceivedPiece> pieces;
  for (auto& bytes : frame.pieces) {
    uint32_t token = nextToken++;
    auto span = bytes.asPtr();
    buffers.push_back({token, kj::mv(bytes)});
    pieces.add(ReceivedPiece(span, *this, token));
  }
  receiver.frameReceived(pieces, frame.meta);
}

kj::Promise<void> ScriptedPeer::receiveLoop(Receiver& receiver) {
  for (;;) {
    if (linkPending) {
      linkPending = false;
      receiver.linkChanged();
    }
    bool any = !incoming.empty();
    for (size_t batch = 0; batch < 64 && !incoming.empty(); ++batch) {
      auto frame = kj::mv(incoming.front());
      incoming.pop_front();
      deliver(receiver, frame);
    }
    if (any) receiver.batchDone();
    if (incoming.empty() && !linkPending) co_await arrived.wait();
    co_await kj::evalLater([]() {});
  }
}

}  // namespace nexus
