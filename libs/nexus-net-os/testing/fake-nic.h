#pragma once
// The driver's half of a link without a driver daemon: tests of whatever attaches to a Nic run against the real server,
// rings and doorbells over a Unix socket pair, with a FakeFrameDevice at the bottom; it can be killed and started
// again. Owned by a test.
#include <kj/async-io.h>

#include "daemons/virtionetd/nic-server.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/testing/fake-frame-device.h"

namespace nexus {

class FakeNic final : private LinkBackend {
 public:
  // `timer` is virtual: nothing here moves it.
  FakeNic(kj::AsyncIoContext& io, kj::Timer& timer, BufferGeometry geometry = {16, 16})
      : io(io), timer(timer), geometry(geometry) {
    start();
  }

  // As virtionetd does after it was started.
  void start() {
    daemon = nullptr;
    running = true;
    daemon.emplace(kj::heap<Daemon>(*this));
  }

  // As SIGKILL does: everything of the daemon is gone, connections are cut.
  void kill() {
    running = false;
    daemon = nullptr;
  }

  // How a client reaches it; fails while it is not running.
  CapReconnect::Connect connector() {
    return [this]() -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
      if (!running) return KJ_EXCEPTION(DISCONNECTED, "nobody listens");
      auto pipe = io.provider->newCapabilityPipe();
      KJ_ASSERT_NONNULL(daemon)->server.accept(kj::mv(pipe.ends[0]));
      return kj::mv(pipe.ends[1]);
    };
  }

  // The device of the present session. It changes whenever an attachment ends.
  FakeFrameDevice& device() { return KJ_ASSERT_NONNULL(present); }
  NicLink& link() { return KJ_ASSERT_NONNULL(daemon)->link; }
  kj::uint connectionCount() { return KJ_ASSERT_NONNULL(daemon)->server.connectionCount(); }

  // Why the drive loop has ended; null while it runs.
  kj::Maybe<kj::Exception> ended;

  // Backends that can open only once, as a VFIO device.
  bool onlyOnce = false;
  // How many of the next attempts to open fail.
  kj::uint failOpens = 0;
  kj::uint opens = 0;

 private:
  struct Daemon {
    NicLink link;
    CapServer server;
    kj::Promise<void> loop;

    explicit Daemon(FakeNic& nic)
        : link(nic, nic.io.unixEventPort, nic.timer),
          server([this](const PeerCredentials&) -> capnp::Capability::Client { return newNicServer(link); }),
          loop(link.driveLoop().eagerlyEvaluate([&nic](kj::Exception&& e) { nic.ended = kj::mv(e); })) {}
  };

  kj::AsyncIoContext& io;
  kj::Timer& timer;
  BufferGeometry geometry;
  bool running = false;
  kj::Maybe<FakeFrameDevice&> present;
  kj::Maybe<kj::Own<Daemon>> daemon;

  // implements LinkBackend ----------------------------------------

  kj::StringPtr name() override { return "fake"; }
  void forEachCounter(EachCounter each) const override { each("fake.opens", opens); }

  kj::Promise<OpenLink> open() override {
    opens++;
    if (failOpens > 0) {
      failOpens--;
      return KJ_EXCEPTION(FAILED, "the device is not there yet");
    }
    if (onlyOnce && opens > 1) return KJ_EXCEPTION(DISCONNECTED, "the device can be opened only once");
    auto pool = kj::heap<BufferPool>(BufferPool::create(geometry));
    auto device = kj::heap<FakeFrameDevice>(*pool);
    present = *device;
    return OpenLink{kj::mv(pool), kj::mv(device)};
  }
};

}  // namespace nexus
