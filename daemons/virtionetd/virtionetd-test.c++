// The daemon as a process: sandboxed, on a frame stream whose other end is this test, attached to as netstackd does.
#include "daemons/virtionetd/virtionetd.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <string>

#include "idl/nic.capnp.h"
#include "idl/status.capnp.h"
#include "libs/nexus-net-os/frame/doorbell.h"
#include "libs/nexus-net-os/frame/frame-ring.h"
#include "libs/nexus-net-os/frame/ring-port.h"
#include "libs/nexus-net-os/frame/stream-channel.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/testing/unix-listener.h"

namespace nexus {
namespace {

constexpr auto BINARY = "daemons/virtionetd/virtionetd";

kj::Array<kj::byte> frameOf(size_t size, kj::byte seed) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i * 7);
  return frame;
}

struct Receiver final : FramePort::Receiver {
  std::deque<kj::Array<kj::byte>> frames;
  void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta&) override {
    KJ_ASSERT(pieces.size() == 1);
    frames.push_back(kj::heapArray<kj::byte>(pieces[0].bytes()));
  }
  void batchDone() override {}
  void linkChanged() override {}
};

struct Daemon {
  pid_t pid = -1;

  void start(UnixListener& nic, UnixListener& status, const char* configFile) {
    pid = UnixListener::spawn(BINARY, "nic:status-virtionetd", {&nic, &status}, {"--config", configFile});
  }

  // Its wait status after `signal`.
  int end(int signal) {
    ::kill(pid, signal);
    int status;
    KJ_SYSCALL(waitpid(pid, &status, 0));
    pid = -1;
    return status;
  }

  bool isAlive() {
    int status;
    return waitpid(pid, &status, WNOHANG) == 0;
  }

  ~Daemon() {
    if (pid > 0) end(SIGKILL);
  }
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::String streamPath = kj::str("virtionetd-stream-", getpid());
  StreamChannel wire{io.unixEventPort, io.provider->getTimer(), unixStreamListener(io.unixEventPort, streamPath)};
  UnixListener nic, status;
  CapReconnect import{nic.connector(io)};
  CapReconnect statusImport{status.connector(io)};
  Daemon daemon;
  std::string configFile = std::string(getenv("TEST_TMPDIR")) + "/virtionetd.toml";
  Receiver receiver;

  Fixture() {
    std::ofstream config(configFile);
    config << "[virtionetd]\nbackend = \"stream\"\nstreamPath = \"" << streamPath.cStr()
           << "\"\nmacAddress = \"52:54:00:12:34:0a\"\nreceiveBuffers = 64\ntransmitBuffers = 64\n";
    config.close();
    start();
  }
  ~Fixture() { unlink(streamPath.cStr()); }

  void start() { daemon.start(nic, status, configFile.c_str()); }

  template <typename Condition>
  void until(Condition condition) {
    while (!condition()) {
      KJ_ASSERT(daemon.pid < 0 || daemon.isAlive(), "the daemon died");
      io.waitScope.poll();
      wire.whenReadable().exclusiveJoin(io.provider->getTimer().afterDelay(1 * kj::MILLISECONDS)).wait(io.waitScope);
    }
  }

  void wireSends(kj::ArrayPtr<const kj::byte> frame) {
    kj::ArrayPtr<const kj::byte> pieces[] = {frame};
    until([&] { return wire.tryWrite(pieces); });
  }

  kj::Array<kj::byte> wireReceives() {
    auto out = kj::heapArray<kj::byte>(2048);
    size_t length = 0;
    until([&] { return (length = wire.tryRead(out)) > 0; });
    return kj::heapArray<kj::byte>(out.slice(0, length));
  }
};

bool transmit(RingPort& port, kj::ArrayPtr<const kj::byte> frame) {
  kj::ArrayPtr<const kj::byte> pieces[] = {frame};
  bool sent = port.transmit(pieces, {});
  port.flush();
  return sent;
}

TEST_CASE(
    "the sandboxed daemon moves frames under load, survives a hostile client, is killed and replaced under its client, "
    "and ends on request") {
  Fixture f;
  RingPort port(f.import, f.io.unixEventPort, f.io.provider->getTimer());
  auto loop = port.receiveLoop(f.receiver).eagerlyEvaluate(nullptr);
  f.until([&] { return port.linkState().up; });
  CHECK(kj::str(port.macAddress()) == "52:54:00:12:34:0a");

  // Load, both ways, more frames than buffers.
  for (kj::uint i = 0; i < 2000; i++) {
    auto frame = frameOf(60 + i % 1400, static_cast<kj::byte>(i));
    f.until([&] { return transmit(port, frame); });
    CHECK((f.wireReceives() == frame));
    f.wireSends(frame);
    f.until([&] { return !f.receiver.frames.empty(); });
    CHECK((f.receiver.frames.front() == frame));
    f.receiver.frames.pop_front();
  }

  // The status tells of it.
  {
    auto response = f.statusImport.get<idl::Status>().snapshotRequest().send().wait(f.io.waitScope);
    CHECK(response.getStatus().getHealth() == idl::DaemonStatus::Health::UP);
    uint64_t received = 0, connections = 0;
    for (auto counter : response.getStatus().getCounters()) {
      if (counter.getName() == "link.rxFrames") received = counter.getValue();
      if (counter.getName() == "stream.connections") connections = counter.getValue();
    }
    CHECK(received == 2000);
    CHECK(connections == 1);
  }

  // Killed in mid-flight and started again by its supervisor: the port comes back by itself.
  for (kj::uint round = 1; round <= 3; round++) {
    CHECK(WIFSIGNALED(f.daemon.end(SIGKILL)));
    f.until([&] { return !port.linkState().up; });
    f.start();
    f.until([&] { return port.linkState().up; });
    kj::byte flushed[2048];
    f.until([&] { return f.wire.tryRead(flushed) == 0 && f.wire.linkState().up; });
    auto frame = frameOf(100, static_cast<kj::byte>(round));
    CHECK(transmit(port, frame));
    CHECK((f.wireReceives() == frame));
  }
  CHECK(port.counters().attached == 4);
  loop = nullptr;

  auto status = f.daemon.end(SIGTERM);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE(
    "a hostile client is thrown out with a reason, and the sandboxed daemon serves the next one from fresh memory") {
  Fixture f;
  for (int round = 0; round < 3; round++) {
    CapReconnect import(f.nic.connector(f.io));
    auto attachment = import.get<idl::Nic>().attachRequest().send().getAttachment();
    auto memory = attachment.memoryRequest().send().wait(f.io.waitScope);
    auto rings = takeFd(memory.getRings()).wait(f.io.waitScope);
    auto bell = takeFd(memory.getToDriver()).wait(f.io.waitScope);
    auto size = memorySize(rings);
    auto mapped = SharedMemory::map(kj::mv(rings), size);
    attachment.startRequest().send().wait(f.io.waitScope);
    RingProducer ring(mapped.bytes(), RingDirection::TO_DRIVER, readRingControl(mapped.bytes()));
    for (BufferId id = 0; id < 64; id++) ring.push({ring::Kind::RETURNED, false, {id, 0, 0}, {}});
    ring.publish();
    Doorbell(kj::mv(bell)).ring();
    auto closed = attachment.closedRequest().send().wait(f.io.waitScope);
    CHECK(closed.getReason() == "the return of a receive buffer that is not lent"_kj);
  }
  RingPort port(f.import, f.io.unixEventPort, f.io.provider->getTimer());
  auto loop = port.receiveLoop(f.receiver).eagerlyEvaluate(nullptr);
  f.until([&] { return port.linkState().up; });
  auto frame = frameOf(100, 1);
  CHECK(transmit(port, frame));
  CHECK((f.wireReceives() == frame));
  CHECK(f.daemon.isAlive());
}

}  // namespace
}  // namespace nexus
