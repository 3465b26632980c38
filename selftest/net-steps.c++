#include "selftest/net-steps.h"

#include <kj/vector.h>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "selftest/dns-probe.h"
#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr size_t SMALL_PAYLOAD = 32;
constexpr size_t LARGE_PAYLOAD = 1400;  // the most that IcmpEcho takes
constexpr kj::uint PING_TIMEOUT_MS = 1000;
constexpr size_t ECHO_BYTES = 20'000;  // more than one segment each way

kj::Array<kj::byte> randomBytes(Entropy& entropy, size_t size) {
  auto bytes = kj::heapArray<kj::byte>(size);
  entropy.fill(bytes);
  return bytes;
}

kj::Promise<void> sendAll(idl::TcpSocket::Client socket, kj::ArrayPtr<const kj::byte> bytes) {
  auto request = socket.sendRequest();
  request.setData(bytes);
  co_await request.send();
}

// One direction of the connection, end of file included.
kj::Promise<void> checkDirection(idl::TcpSocket::Client from, idl::TcpSocket::Client to, kj::Array<kj::byte> bytes) {
  auto sent = sendAll(from, bytes).then([from]() mutable { return from.closeRequest().send().ignoreResult(); });
  auto received = co_await recvExactly(to, bytes.size());
  co_await sent;
  if (received != bytes) failStep("the bytes changed on their way through the connection");
  auto request = to.recvRequest();
  request.setMaxBytes(1);
  auto end = co_await request.send();
  if (end.getData().size() != 0) failStep("more bytes came than were sent");
}

}  // namespace

void requireOk(idl::Outcome outcome, kj::StringPtr what) {
  static constexpr kj::StringPtr NAMES[] = {"ok"_kj,
                                            "denied"_kj,
                                            "refused"_kj,
                                            "unreachable"_kj,
                                            "timed out"_kj,
                                            "address in use"_kj,
                                            "address not available"_kj,
                                            "not found"_kj};
  auto index = static_cast<size_t>(outcome);
  if (outcome == idl::Outcome::OK) return;
  failStep(kj::str(what, ": ", index < kj::size(NAMES) ? NAMES[index] : "unknown outcome"_kj));
}

kj::Promise<kj::Array<kj::byte>> recvExactly(idl::TcpSocket::Client socket, size_t bytes) {
  kj::Vector<kj::byte> received(bytes);
  while (received.size() < bytes) {
    auto request = socket.recvRequest();
    request.setMaxBytes(bytes - received.size());
    auto part = co_await request.send();
    if (part.getData().size() == 0)
      failStep(kj::str("the peer closed after ", received.size(), " of ", bytes, " bytes"));
    received.addAll(part.getData());
  }
  co_return received.releaseAsArray();
}

kj::Promise<void> NetSteps::iface() {
  uint32_t known = 0;
  for (;;) {
    auto request = net().getConfigRequest();
    request.setKnown(known);
    auto response = co_await request.send();
    auto config = response.getConfig();
    known = config.getGeneration();
    if (!config.getLinkUp()) continue;
    for (auto entry : config.getAddresses()) {
      auto address = IpAddress::fromIdl(entry.getAddress());
      if (!address.isV4()) continue;
      ownAddress = address;
      gatewayAddress = IpAddress::fromIdl(config.getGateway(), IpAddress::AllowAny::YES);
      co_return;
    }
  }
}

kj::Promise<void> NetSteps::ping(size_t payloadBytes) {
  if (gatewayAddress.isAny()) failStep("there is no gateway");
  auto made = co_await net().createIcmpEchoRequest().send();
  requireOk(made.getOutcome(), "createIcmpEcho");
  auto request = made.getEcho().pingRequest();
  gatewayAddress.toIdl(request.initTo());
  request.setPayload(randomBytes(entropy, payloadBytes));
  request.setTimeoutMs(PING_TIMEOUT_MS);
  auto reply = co_await request.send();
  requireOk(reply.getOutcome(), kj::str("ping ", gatewayAddress));
  if (reply.getRoundTripUs() == 0) failStep("a round trip took no time");
}

kj::Promise<void> NetSteps::gatewayPing() {
  return ping(SMALL_PAYLOAD);
}

kj::Promise<void> NetSteps::icmpPing() {
  return ping(LARGE_PAYLOAD);
}

kj::Promise<void> NetSteps::udpDns(uint16_t port) {
  if (port == 0) failStep("the harness offers no DNS answerer (nexus.dns)");
  auto create = net().createUdpSocketRequest();
  create.initLocal().initAddress().setAny();
  auto made = co_await create.send();
  requireOk(made.getOutcome(), "createUdpSocket");
  auto socket = made.getSocket();

  SocketAddress server{gatewayAddress, port};
  auto query = dnsQuery(static_cast<uint16_t>(entropy.u32()), HOST_PEER_NAME);
  auto send = socket.sendToRequest();
  server.toIdl(send.initTo());
  send.setData(query);
  requireOk((co_await send.send()).getOutcome(), "sendTo");

  // Whatever is not from the server we asked is somebody else's and not looked at.
  for (;;) {
    auto received = co_await socket.recvFromRequest().send();
    if (!(SocketAddress::fromIdl(received.getFrom()) == server)) continue;
    auto complaint = checkDnsAnswer(received.getData(), query, HOST_PEER_ADDRESS);
    KJ_IF_MAYBE (what, complaint) failStep(*what);
    co_return;
  }
}

kj::Promise<void> NetSteps::tcpListen() {
  auto listen = net().createTcpListenerRequest();
  SocketAddress{ownAddress, 0}.toIdl(listen.initLocal());
  auto listening = co_await listen.send();
  requireOk(listening.getOutcome(), "createTcpListener");
  auto local = SocketAddress::fromIdl(listening.getLocal());

  auto accepting = listening.getListener().acceptRequest().send();
  auto connect = net().connectTcpRequest();
  local.toIdl(connect.initRemote());
  connect.initLocal().initAddress().setAny();
  auto connected = co_await connect.send();
  requireOk(connected.getOutcome(), kj::str("connectTcp ", local));
  auto accepted = co_await accepting;

  auto client = connected.getSocket();
  auto server = accepted.getSocket();
  co_await checkDirection(client, server, randomBytes(entropy, ECHO_BYTES));
  co_await checkDirection(server, client, randomBytes(entropy, ECHO_BYTES));
}

}  // namespace nexus
