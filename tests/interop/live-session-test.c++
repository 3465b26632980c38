// The documented profile against running daemons: dsoftbusd in a process of its own, in its sandbox, on this machine's
// loopback network, and a client that shares no code with it.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sys/socket.h>

#include "tests/interop/live-node.h"
#include "tests/interop/openssl-noise.h"

namespace nexus::interop {
namespace {

constexpr auto PROLOGUE = "nexus-net dsoftbus v1"_kj;

kj::AutoCloseFd dialLoopback(uint16_t port) {
  kj::AutoCloseFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  KJ_SYSCALL(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  timeval limit{20, 0};  // a test that hangs says so
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

struct Node {
  uint16_t port = freePort();
  LiveNode live{"live", "127.0.0.1", port, freePort(),
                "[[dsoftbusd.trust]]\nname = \"outsider\"\ntestIdentity = \"outsider\"\ndial = false\n"};

  NoiseInitiator dial(kj::StringPtr identity, kj::StringPtr prologue = PROLOGUE) {
    return NoiseInitiator(dialLoopback(port), Keys::ofTestIdentity(identity), Keys::ofTestIdentity("live").noisePublic,
                          prologue);
  }
};

TEST_CASE("an implementation written from the documentation alone opens a session and is answered") {
  Node node;
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
  node.live.dsoftbusd().waitForLine("dsoftbusd: os session ok");
}

TEST_CASE("with another prologue there is no second message") {
  Node node;
  CHECK(!node.dial("outsider", "nexus-net dsoftbus v2").handshake());
}

TEST_CASE("a key that is not in the trust table is told so, in a record, and the connection ends") {
  Node node;
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
