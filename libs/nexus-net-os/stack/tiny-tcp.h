#pragma once
// One TCP connection as its far end sees it, for tests: takes segments in order, acknowledges, sends and sends again
// until acknowledged. Nothing clever: it is the judge, not a stack. Driven by ScriptedPeer::onFrame; shares no code
// with lwIP. Owned by a test.
#include <kj/timer.h>

#include "libs/nexus-net-os/stack/scripted-peer.h"

namespace nexus {

class TinyTcp {
 public:
  TinyTcp(ScriptedPeer& peer, kj::Timer& timer, uint16_t port, uint32_t isn = 1000);

  // what the test sets ----
  uint16_t window = 65535;
  size_t mss = 1460;
  bool acknowledge = true;  // otherwise it receives in silence

  // what happened ----
  kj::Vector<kj::byte> received;
  bool established = false, finReceived = false, resetReceived = false;
  uint32_t stackIsn = 0;
  uint16_t stackPort = 0;

  // Sends SYN to a listener of the stack.
  void connect(uint16_t port);

  // Queues bytes; sent within the stack's window, repeated every 200 ms until acknowledged.
  void send(kj::ArrayPtr<const kj::byte> data);
  void finish();
  bool allAcknowledged() const { return acknowledged == outgoing.size() + (finishing ? 1 : 0); }

  // A segment made of our present numbers, changed as the test likes.
  TcpFields fields(kj::byte flags = TcpFields::ACK) const;
  void sendRaw(const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload = nullptr);

  void receive(const WireFrame& frame);

  // Repeats what is not acknowledged, until dropped.
  kj::Promise<void> repeatLoop();

  uint32_t nextExpected() const { return rcvNxt; }
  uint32_t firstUnacknowledged() const { return isn + 1 + acknowledged; }

 private:
  ScriptedPeer& peer;
  kj::Timer& timer;
  uint16_t port;
  uint32_t isn;
  uint32_t rcvNxt = 0;
  kj::Vector<kj::byte> outgoing;
  size_t acknowledged = 0, sentUpTo = 0;
  size_t stackWindow = 0;
  kj::byte stackScale = 0;
  bool finishing = false;

  void push();
  void readOptions(const WireFrame& frame);
};

}  // namespace nexus
