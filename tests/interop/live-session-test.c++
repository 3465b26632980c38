// The documented profile against running daemons: dsoftbusd in a process of its own, in its sandbox, on this machine's
// loopback network, and a client that shares no code with it.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "libs/nexus-net-os/testing/daemon-process.h"
#include "tests/interop/openssl-noise.h"

namespace nexus::interop {
namespace {

constexpr auto PROLOGUE = "nexus-net dsoftbus v1"_kj;

kj::AutoCloseFd tcpSocket(uint16_t port, bool connected) {
  kj::AutoCloseFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  auto raw = reinterpret_cast<sockaddr*>(&address);
  int result = connected ? connect(fd, raw, sizeof(address)) : bind(fd, raw, sizeof(address));
  KJ_REQUIRE(result == 0, "loopback", strerror(errno));
  timeval limit{20, 0};  // a test that hangs says so
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

uint16_t freePort() {
  auto fd = tcpSocket(0, false);
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// A whole node: the network of the host, samgrd, bundlemgrd, dsoftbusd.
struct LiveNode {
  uint16_t port = freePort();
  kj::String folder = kj::str(getenv("TEST_TMPDIR"), "/live-", port);
  kj::Own<DaemonProcess> net, samgrd, bundlemgrd, dsoftbusd;

  LiveNode() {
    auto config = kj::str(folder, ".toml");
    auto disk = kj::newDiskFilesystem();
    auto bundles = kj::str(folder, "-bundles");
    disk->getRoot().openSubdir(disk->getCurrentPath().evalNative(bundles), kj::WriteMode::CREATE);
    disk->getRoot()
        .openFile(disk->getCurrentPath().evalNative(config), kj::WriteMode::CREATE)
        ->writeAll(kj::str("[bundlemgrd]\nstore = \"", bundles, "\"\n[dsoftbusd]\nnodeName = \"live\"\nsessionPort = ",
                           port, "\ndiscoveryPort = ", freePort(),
                           "\nallowTestIdentity = true\ntestIdentity = \"live\"\n"
                           "[[dsoftbusd.trust]]\nname = \"outsider\"\ntestIdentity = \"outsider\"\ndial = false\n"));
    net = kj::heap<DaemonProcess>("tools/host_net/host_net", kj::arr("net"_kj).asPtr(), nullptr);
    samgrd = kj::heap<DaemonProcess>("daemons/samgrd/samgrd", kj::arr("samgr-dsoftbusd"_kj).asPtr(), nullptr);
    auto configured = kj::arr("--config"_kj, config.asPtr());
    bundlemgrd = kj::heap<DaemonProcess>("daemons/bundlemgrd/bundlemgrd", kj::arr("bundlemgr-dsoftbusd"_kj).asPtr(),
                                         configured.asPtr());
    auto imports = kj::arr(kj::str("net=unix:", net->socketPath("net")),
                           kj::str("samgr=unix:", samgrd->socketPath("samgr-dsoftbusd")),
                           kj::str("bundlemgr=unix:", bundlemgrd->socketPath("bundlemgr-dsoftbusd")));
    kj::StringPtr arguments[] = {"--config"_kj, config,     "--import"_kj, imports[0],
                                 "--import"_kj, imports[1], "--import"_kj, imports[2]};
    dsoftbusd =
        kj::heap<DaemonProcess>("daemons/dsoftbusd/dsoftbusd", kj::arr("bus"_kj).asPtr(), kj::arrayPtr(arguments, 8));
    dsoftbusd->waitForLine("dsoftbusd: os transport up (udp+tcp)");
  }

  NoiseInitiator dial(kj::StringPtr identity, kj::StringPtr prologue = PROLOGUE) {
    return NoiseInitiator(tcpSocket(port, true), Keys::ofTestIdentity(identity),
                          Keys::ofTestIdentity("live").noisePublic, prologue);
  }
};

TEST_CASE("an implementation written from the documentation alone opens a session and is answered") {
  LiveNode node;
  auto outsider = node.dial("outsider");
  REQUIRE(outsider.handshake());
  Bytes ping{1, 0, 0, 0, 0, 0, 0, 0, 77, 'h', 'i'};
  outsider.sendRecord(ping);
  for (bool answered = false; !answered;) {
    auto record = outsider.receiveRecord();
    REQUIRE(record.size() > 0);
    if (record[0] == 1) {  // the node's own ping
      record[0] = 2;
      outsider.sendRecord(record);
    } else {
      ping[0] = 2;
      CHECK(record == ping);
      answered = true;
    }
  }
  node.dsoftbusd->waitForLine("dsoftbusd: os session ok");
}

TEST_CASE("with another prologue there is no second message") {
  LiveNode node;
  CHECK(!node.dial("outsider", "nexus-net dsoftbus v2").handshake());
}

TEST_CASE("a key that is not in the trust table is told so, in a record, and the connection ends") {
  LiveNode node;
  auto stranger = node.dial("stranger");
  REQUIRE(stranger.handshake());
  stranger.sendRecord({1, 0, 0, 0, 0, 0, 0, 0, 1});
  auto close = stranger.receiveRecord();
  REQUIRE(close.size() == 10);
  CHECK(close[0] == 5);  // CLOSE
  CHECK(close[1] == 2);  // unauthenticated
  CHECK(stranger.receiveRecord().empty());
}

}  // namespace
}  // namespace nexus::interop
