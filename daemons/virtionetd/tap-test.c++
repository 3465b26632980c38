// virtionetd on a TAP interface, sandboxed, with the kernel of a fresh network namespace as its peer. Needs root.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <string>

#include "libs/nexus-net-os/frame/ring-port.h"
#include "libs/nexus-net-os/testing/unix-listener.h"

namespace nexus {
namespace {

constexpr auto BINARY = "daemons/virtionetd/virtionetd";
constexpr auto TAP = "nxtap0";
constexpr auto KERNEL_ADDRESS = "10.99.0.1";
constexpr kj::byte OUR_ADDRESS[] = {10, 99, 0, 2};
constexpr kj::byte OUR_MAC[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x0a};

void configure(kj::StringPtr interface, unsigned long request, kj::Function<void(ifreq&)> set) {
  kj::AutoCloseFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq r{};
  strcpy(r.ifr_name, interface.cStr());
  set(r);
  KJ_SYSCALL(ioctl(fd, request, &r), interface);
}

void setAddress(ifreq& request, const char* text) {
  auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  address.sin_family = AF_INET;
  inet_pton(AF_INET, text, &address.sin_addr);
}

uint16_t checksum(kj::ArrayPtr<const kj::byte> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  if (bytes.size() % 2 == 1) sum += bytes.back() << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The smallest host there is: answers ARP requests and echo requests for its address.
struct Responder final : FramePort::Receiver {
  RingPort& port;
  kj::uint arps = 0, echoes = 0;
  explicit Responder(RingPort& port) : port(port) {}

  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta& meta) override {
    CHECK(meta == FrameMeta{});
    kj::Vector<kj::byte> bytes;
    for (auto& piece : pieces) bytes.addAll(piece.bytes());
    auto frame = bytes.releaseAsArray();
    if (frame.size() < 42) return;
    bool isArp = frame[12] == 8 && frame[13] == 6, isIp = frame[12] == 8 && frame[13] == 0;
    if (isArp && frame[21] == 1 && memcmp(frame.begin() + 38, OUR_ADDRESS, 4) == 0) {
      arps++;
      auto reply = kj::heapArray<kj::byte>(frame);
      memcpy(reply.begin(), frame.begin() + 6, 6);
      memcpy(reply.begin() + 6, OUR_MAC, 6);
      reply[21] = 2;
      memcpy(reply.begin() + 22, OUR_MAC, 6);
      memcpy(reply.begin() + 28, OUR_ADDRESS, 4);
      memcpy(reply.begin() + 32, frame.begin() + 22, 10);
      send(reply);
    } else if (isIp && frame[23] == IPPROTO_ICMP && frame[34] == ICMP_ECHO) {
      echoes++;
      auto reply = kj::heapArray<kj::byte>(frame);
      memcpy(reply.begin(), frame.begin() + 6, 6);
      memcpy(reply.begin() + 6, OUR_MAC, 6);
      memcpy(reply.begin() + 26, frame.begin() + 30, 4);
      memcpy(reply.begin() + 30, frame.begin() + 26, 4);
      reply[34] = ICMP_ECHOREPLY;
      reply[36] = reply[37] = 0;
      size_t end = 14 + (frame[16] << 8 | frame[17]);
      auto sum = checksum(reply.slice(34, end));
      reply[36] = static_cast<kj::byte>(sum >> 8);
      reply[37] = static_cast<kj::byte>(sum);
      send(reply);
    }
  }
  void batchDone() override { port.flush(); }
  void linkChanged() override {}

  void send(kj::ArrayPtr<const kj::byte> frame) {
    kj::ArrayPtr<const kj::byte> pieces[] = {frame};
    CHECK(port.transmit(pieces, {}));
  }
};

struct Daemon {
  pid_t pid;
  explicit Daemon(UnixListener& nic) {
    std::string configFile = std::string(getenv("TEST_TMPDIR")) + "/tap.toml";
    std::ofstream(configFile) << "[virtionetd]\nbackend = \"tap\"\ntapName = \"" << TAP
                              << "\"\nmacAddress = \"52:54:00:12:34:0a\"\n";
    pid = nic.spawn(BINARY, "nic", {"--config", configFile.c_str()});
  }
  bool isAlive() {
    int status;
    return waitpid(pid, &status, WNOHANG) == 0;
  }
  ~Daemon() {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
};

TEST_CASE(
    "the kernel pings a host behind a sandboxed virtionetd on a TAP, again after the interface was deleted and made "
    "anew") {
  KJ_SYSCALL(unshare(CLONE_NEWNET), "this test needs root");
  auto io = kj::setupAsyncIo();
  auto& timer = io.provider->getTimer();
  UnixListener listener;
  Daemon daemon(listener);
  CapReconnect import(listener.connector(io));
  RingPort port(import, io.unixEventPort, timer);
  Responder responder(port);
  auto loop = port.receiveLoop(responder).eagerlyEvaluate(nullptr);
  auto until = [&](auto condition) {
    for (int i = 0; !condition(); i++) {
      REQUIRE(daemon.isAlive());
      REQUIRE(i < 20'000);
      timer.afterDelay(1 * kj::MILLISECONDS).wait(io.waitScope);
    }
  };
  until([&] { return port.linkState().up; });

  auto ping = [&](uint16_t count, size_t payload) {
    configure(TAP, SIOCSIFADDR, [](ifreq& r) { setAddress(r, KERNEL_ADDRESS); });
    configure(TAP, SIOCSIFNETMASK, [](ifreq& r) { setAddress(r, "255.255.255.0"); });
    configure(TAP, SIOCSIFFLAGS, [](ifreq& r) { r.ifr_flags = IFF_UP | IFF_RUNNING; });
    kj::AutoCloseFd raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    memcpy(&to.sin_addr, OUR_ADDRESS, 4);
    for (uint16_t i = 0; i < count; i++) {
      auto request = kj::heapArray<kj::byte>(8 + payload);
      for (size_t b = 0; b < request.size(); b++) request[b] = static_cast<kj::byte>(b + i);
      request[0] = ICMP_ECHO;
      request[1] = request[2] = request[3] = 0;
      request[7] = static_cast<kj::byte>(i);
      auto sum = checksum(request);
      request[2] = static_cast<kj::byte>(sum >> 8);
      request[3] = static_cast<kj::byte>(sum);
      KJ_SYSCALL(sendto(raw, request.begin(), request.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)));
      kj::byte answer[2048];
      ssize_t length = 0;
      until([&] {
        length = recv(raw, answer, sizeof(answer), MSG_DONTWAIT);
        return length > 20 && answer[20] == ICMP_ECHOREPLY;
      });
      CHECK(static_cast<size_t>(length) == 20 + request.size());
      CHECK(memcmp(answer + 24, request.begin() + 4, request.size() - 4) == 0);
    }
  };
  ping(50, 56);
  ping(10, 1472);  // a full frame
  CHECK(responder.arps >= 1);
  CHECK(responder.echoes == 60);

  // The interface vanishes under the daemon: link down, attachment and process live on, taken again when it can be.
  auto attached = port.counters().attached;
  {
    auto command = kj::str("ip link delete ", TAP);
    REQUIRE(system(command.cStr()) == 0);
  }
  until([&] { return !port.linkState().up; });
  until([&] { return port.linkState().up; });
  ping(5, 56);
  CHECK(port.counters().attached == attached);
}

}  // namespace
}  // namespace nexus
