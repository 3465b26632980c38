#include "selftest/restart-step.h"

#include <kj/vector.h>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "selftest/net-steps.h"
#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr kj::StringPtr DRIVER = "virtionetd"_kj;
constexpr size_t CHUNK_BYTES = 32 * 1024;

kj::Promise<uint32_t> driverStarts(idl::Supervisor::Client supervisor) {
  auto response = co_await supervisor.servicesRequest().send();
  for (auto service : response.getServices()) {
    if (service.getName() == DRIVER) co_return service.getStarts();
  }
  failStep("the supervisor knows no virtionetd");
}

kj::Promise<void> killDriver(idl::Supervisor::Client supervisor) {
  auto request = supervisor.killRequest();
  request.setName(DRIVER);
  if (!(co_await request.send()).getFound()) failStep("the supervisor knows no virtionetd");
}

// The peer's one line, without its end.
kj::Promise<kj::String> recvLine(idl::TcpSocket::Client socket) {
  kj::Vector<char> line;
  for (;;) {
    auto request = socket.recvRequest();
    request.setMaxBytes(HOST_PEER_LINE_MAX);
    auto part = co_await request.send();
    if (part.getData().size() == 0) failStep("the peer closed without an answer");
    for (auto c : part.getData()) {
      if (c == '\n') co_return kj::heapString(line.begin(), line.size());
      if (line.size() >= HOST_PEER_LINE_MAX) failStep("the peer's answer is too long");
      line.add(c);
    }
  }
}

}  // namespace

kj::Promise<void> driverRestart(idl::NetworkManager::Client net, idl::Supervisor::Client supervisor, SocketAddress peer,
                                RestartTransfer transfer) {
  if (peer.port == 0) failStep("the harness offers no transfer peer (nexus.tcp)");
  auto startsBefore = co_await driverStarts(supervisor);
  auto connect = net.connectTcpRequest();
  peer.toIdl(connect.initRemote());
  connect.initLocal().initAddress().setAny();
  auto connected = co_await connect.send();
  requireOk(connected.getOutcome(), kj::str("connectTcp ", peer));
  auto socket = connected.getSocket();

  auto line = encodeHostPeerRequest(HostPeerSink{transfer.bytes});
  auto first = socket.sendRequest();
  first.setData(line.asBytes());
  co_await first.send();

  bool killed = false;
  for (uint64_t offset = 0; offset < transfer.bytes;) {
    if (offset >= transfer.killAfter && !killed) {
      co_await killDriver(supervisor);
      killed = true;
    }
    auto size = kj::min(transfer.bytes - offset, uint64_t{CHUNK_BYTES});
    auto request = socket.sendRequest();
    fillHostPeerPattern(offset, request.initData(size));
    co_await request.send();  // waits while nothing leaves
    offset += size;
  }

  auto answer = co_await recvLine(socket);
  auto expected = hostPeerSinkAnswer(transfer.bytes, hostPeerPatternChecksum(transfer.bytes));
  if (answer != expected) failStep(kj::str("the peer got other bytes than were sent: ", answer, ", not ", expected));
  auto startsAfter = co_await driverStarts(supervisor);
  if (startsAfter <= startsBefore) failStep("the driver was not started again during the transfer");
}

}  // namespace nexus
