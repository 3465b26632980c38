#include "tools/host_net/host-network.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/client/net-client.h"

namespace nexus {
namespace {

const auto HOST = IpAddress::v4(127, 0, 0, 1);

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  idl::NetworkManager::Client network = newHostNetwork(io.provider->getNetwork(), HOST);
  NetClient client{network};
};

TEST_CASE(
    "a program of the interface and the kernel's own sockets talk over TCP, both ways, to the end of the stream") {
  Fixture f;
  auto listener = f.client.listen({{}, 0}).wait(f.io.waitScope);
  auto kernel = f.io.provider->getNetwork()
                    .parseAddress(kj::str("127.0.0.1:", listener->getPort()))
                    .wait(f.io.waitScope)
                    ->connect()
                    .wait(f.io.waitScope);
  auto accepted = listener->accept().wait(f.io.waitScope);
  kernel->write("ping", 4).wait(f.io.waitScope);
  char buffer[8];
  CHECK(accepted->tryRead(buffer, 4, 8).wait(f.io.waitScope) == 4);
  accepted->write("pong!", 5).wait(f.io.waitScope);
  accepted->shutdownWrite();
  CHECK(kernel->readAllText().wait(f.io.waitScope) == "pong!");
}

TEST_CASE("a connection that nobody takes is refused, as a result") {
  Fixture f;
  uint16_t port;
  {
    auto listener = f.client.listen({{}, 0}).wait(f.io.waitScope);
    port = listener->getPort();
  }
  auto request = f.network.connectTcpRequest();
  SocketAddress{HOST, port}.toIdl(request.initRemote());
  request.initLocal().initAddress().setAny();
  CHECK(request.send().wait(f.io.waitScope).getOutcome() == idl::Outcome::REFUSED);
}

TEST_CASE("a TCP port that is taken is a result, and `any` is the one address") {
  Fixture f;
  auto listener = f.client.listen({{}, 0}).wait(f.io.waitScope);
  auto listenAt = [&](uint16_t port) {
    auto request = f.network.createTcpListenerRequest();
    request.initLocal().initAddress().setAny();
    request.getLocal().setPort(port);
    return request.send().wait(f.io.waitScope);
  };
  CHECK(listenAt(listener->getPort()).getOutcome() == idl::Outcome::ADDRESS_IN_USE);
  auto other = listenAt(0);
  CHECK(IpAddress::fromIdl(other.getLocal().getAddress()) == HOST);
  CHECK(other.getLocal().getPort() != listener->getPort());
}

TEST_CASE("datagrams keep their sender, wait with the kernel, and groups are denied") {
  Fixture f;
  auto open = [&] {
    auto request = f.network.createUdpSocketRequest();
    request.initLocal().initAddress().setAny();
    return request.send().wait(f.io.waitScope);
  };
  auto a = open(), b = open();
  for (auto text : {"one"_kj, "two"_kj}) {
    auto request = a.getSocket().sendToRequest();
    request.setTo(b.getLocal());
    request.setData(text.asBytes());
    CHECK(request.send().wait(f.io.waitScope).getOutcome() == idl::Outcome::OK);
  }
  for (auto text : {"one"_kj, "two"_kj}) {
    auto received = b.getSocket().recvFromRequest().send().wait(f.io.waitScope);
    CHECK(received.getData() == text.asBytes());
    CHECK(SocketAddress::fromIdl(received.getFrom()) == SocketAddress::fromIdl(a.getLocal()));
  }
  auto join = b.getSocket().joinGroupRequest();
  IpAddress::v4(239, 42, 0, 1).toIdl(join.initGroup());
  CHECK(join.send().wait(f.io.waitScope).getOutcome() == idl::Outcome::DENIED);
}

}  // namespace
}  // namespace nexus
