#include "libs/nexus-net-os/stack/tiny-tcp.h"

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {

using F = TcpFields;

TinyTcp::TinyTcp(ScriptedPeer& peer, kj::Timer& timer, uint16_t port, uint32_t isn)
    : peer(peer), timer(timer), port(port), isn(isn) {}

TcpFields TinyTcp::fields(kj::byte flags) const {
  return {port, stackPort, isn + 1 + static_cast<uint32_t>(sentUpTo), rcvNxt, flags, window};
}

void TinyTcp::sendRaw(const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload) {
  peer.sendTcp(fields, payload);
}

void TinyTcp::connect(uint16_t to) {
  stackPort = to;
  kj::byte options[] = {2, 4, static_cast<kj::byte>(mss >> 8), static_cast<kj::byte>(mss), 1, 3, 3, 0};
  peer.sendTcp({port, to, isn, 0, F::SYN, window}, nullptr, options);
}

void TinyTcp::readOptions(const WireFrame& frame) {
  for (size_t i = 0; i < frame.options.size();) {
    kj::byte kind = frame.options[i];
    if (kind == 0) return;
    if (kind == 1) {
      ++i;
      continue;
    }
    if (kind == 3) stackScale = frame.options[i + 2];
    i += frame.options[i + 1];
  }
}

void TinyTcp::receive(const WireFrame& frame) {
  if (!frame.isTcp() || frame.destinationPort != port) return;
  auto& tcp = frame.tcp;
  if (tcp.flags & F::RST) {
    resetReceived = true;
    return;
  }
  if (tcp.flags & F::SYN) {
    stackIsn = tcp.sequence;
    rcvNxt = tcp.sequence + 1;
    stackPort = frame.sourcePort;
    stackWindow = tcp.window;
    readOptions(frame);
    if (tcp.flags & F::ACK) {
      established = true;
      if (acknowledge) sendRaw(fields());
    } else {
      kj::byte options[] = {2, 4, static_cast<kj::byte>(mss >> 8), static_cast<kj::byte>(mss), 1, 3, 3, 0};
      peer.sendTcp({port, stackPort, isn, rcvNxt, F::SYN | F::ACK, window}, nullptr, options);
    }
    push();
    return;
  }
  established = true;
  stackWindow = size_t(tcp.window) << stackScale;
  size_t ack = tcp.acknowledgement - (isn + 1);
  if (ack <= outgoing.size() + 1 && ack > acknowledged) acknowledged = ack;
  size_t length = frame.payload.size();
  bool fin = tcp.flags & F::FIN;
  uint32_t known = rcvNxt - tcp.sequence;  // bytes at its beginning that we have
  if (known <= length && window > 0) {
    received.addAll(frame.payload.slice(known, length));
    rcvNxt += length - known;
    if (fin && !finReceived) {
      ++rcvNxt;
      finReceived = true;
    }
  }
  if (acknowledge && (length > 0 || fin)) sendRaw(fields());
  push();
}

void TinyTcp::send(kj::ArrayPtr<const kj::byte> data) {
  outgoing.addAll(data);
  push();
}

void TinyTcp::finish() {
  finishing = true;
  push();
}

void TinyTcp::push() {
  if (!established) return;
  while (sentUpTo < outgoing.size() && sentUpTo - acknowledged < stackWindow) {
    size_t n = kj::min(kj::min(mss, outgoing.size() - sentUpTo), stackWindow - (sentUpTo - acknowledged));
    auto segment = fields(F::ACK | F::PSH);
    sentUpTo += n;
    sendRaw(segment, outgoing.asPtr().slice(sentUpTo - n, sentUpTo));
  }
  if (finishing && sentUpTo == outgoing.size()) {
    sendRaw(fields(F::ACK | F::FIN));
    ++sentUpTo;
  }
}

kj::Promise<void> TinyTcp::repeatLoop() {
  for (;;) {
    co_await timer.afterDelay(200 * kj::MILLISECONDS);
    if (acknowledged < sentUpTo) {
      sentUpTo = acknowledged;
      push();
    }
  }
}

}  // namespace nexus
