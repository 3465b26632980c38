#include "daemons/virtionetd/virtionetd.h"

#include <kj/debug.h>

#include "daemons/virtionetd/copying-link.h"
#include "daemons/virtionetd/nic-server.h"
#include "daemons/virtionetd/vfio-link.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"
#include "libs/nexus-net-os/frame/stream-channel.h"
#include "libs/nexus-net-os/frame/tap-channel.h"

namespace nexus {

namespace {

// The configuration, checked: only what the chosen backend uses.
struct Settings {
  BufferGeometry geometry;
  kj::Maybe<MacAddress> mac;
};

BufferGeometry geometryOf(config::Virtionetd::Reader config) {
  BufferGeometry geometry{config.getReceiveBuffers(), config.getTransmitBuffers()};
  KJ_REQUIRE(geometry.isValid(), "receiveBuffers and transmitBuffers must each be a power of two from 16 to 4096",
             geometry.receive, geometry.transmit);
  return geometry;
}

Settings settingsOf(config::Virtionetd::Reader config) {
  return readSettings([&] {
    Settings settings{geometryOf(config), configuredMac(config.getMacAddress())};
    if (config.getBackend() == config::Virtionetd::Backend::TAP) requireTapName(config.getTapName());
    if (config.getBackend() == config::Virtionetd::Backend::STREAM) requireStreamPath(config.getStreamPath());
    return settings;
  });
}

kj::Own<LinkBackend> newBackend(DaemonContext& context, config::Virtionetd::Reader config) {
  auto settings = settingsOf(config);
  auto& geometry = settings.geometry;
  auto mac = settings.mac.orDefault([&] { return randomMac(context.entropy()); });
  auto& port = context.io().unixEventPort;
  switch (config.getBackend()) {
    case config::Virtionetd::Backend::VFIO:
      return kj::heap<VfioLink>(context.import("device"), geometry, port, context.timer());
    case config::Virtionetd::Backend::TAP:
      return kj::heap<CopyingLink>("tap"_kj, kj::heap<TapChannel>(port, context.timer(), config.getTapName()), mac,
                                   geometry);
    case config::Virtionetd::Backend::STREAM: {
      auto connect = config.getStreamListen() ? unixStreamListener(port, config.getStreamPath())
                                              : unixStreamConnector(config.getStreamPath());
      return kj::heap<CopyingLink>("stream"_kj, kj::heap<StreamChannel>(port, context.timer(), kj::mv(connect)), mac,
                                   geometry);
    }
  }
  KJ_FAIL_REQUIRE("an unknown backend");
}

StatusReport reportOf(NicLink& link) {
  auto& state = link.status().state;
  return {
      state.up ? idl::DaemonStatus::Health::UP : idl::DaemonStatus::Health::DEGRADED,
      state.up ? kj::str("link up, mtu ", state.mtu, ", ", link.macAddress()) : kj::str("link down: ", state.reason),
      linkCounters(link)};
}

}  // namespace

void checkVirtionetd(config::Virtionetd::Reader config) {
  settingsOf(config);
}

kj::Promise<void> runVirtionetd(DaemonContext& context, config::Virtionetd::Reader config) {
  bool isVfio = config.getBackend() == config::Virtionetd::Backend::VFIO;
  auto backend = newBackend(context, config);
  NicLink link(*backend, context.io().unixEventPort, context.timer());
  StatusSource status("virtionetd", context.timer(), [&link] { return reportOf(link); });
  co_await link.open();

  if (config.getSandbox()) enterSandbox(isVfio ? SandboxProfile::VIRTIONETD_VFIO : SandboxProfile::VIRTIONETD_HOST);
  auto& state = link.status().state;
  if (isVfio) emitMarker(marker::NET_VIRTIO_UP, kj::str(" (mtu=", state.mtu, ", mac=", link.macAddress(), ")"));
  KJ_LOG(INFO, "link open", backend->name(), state.up, state.mtu);

  context.serve("nic", [&link](const PeerCredentials&) -> capnp::Capability::Client { return newNicServer(link); });
  context.serve("status-virtionetd",
                [&status](const PeerCredentials&) -> capnp::Capability::Client { return status.newServer(); });
  co_await link.driveLoop().catch_([&](kj::Exception&& exception) {
    if (exception.getType() != kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(exception));
    KJ_LOG(WARNING, "ending, to be started again", exception.getDescription());
    context.setExitStatus(EXIT_DEVICE_SPENT);
  });
}

}  // namespace nexus
