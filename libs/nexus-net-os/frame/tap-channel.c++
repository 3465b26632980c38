#include "libs/nexus-net-os/frame/tap-channel.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libs/nexus-net-os/frame/ring-layout.h"

namespace nexus {

namespace {

constexpr size_t ETHERNET_HEADER = 14, VLAN_TAG = 4;  // bytes
constexpr size_t VNET_HEADER = 12;                    // bytes: virtio_net_hdr_v1, virtio 1.1, 5.1.6

ifreq requestFor(kj::StringPtr name) {
  ifreq request{};
  requireTapName(name);
  memcpy(request.ifr_name, name.begin(), name.size());
  return request;
}

// Binds `fd` to the interface; the kernel makes it if it does not exist and we may.
void take(int fd, kj::StringPtr name) {
  auto request = requestFor(name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd, TUNSETIFF, &request) != 0) {
    KJ_FAIL_REQUIRE(
        "the TAP interface cannot be taken: make it first, for this user (ip tuntap add dev NAME mode tap vnet_hdr "
        "user NAME), run with CAP_NET_ADMIN, or use backend = \"stream\", which needs no rights",
        name, strerror(errno));
  }
  int headerSize = VNET_HEADER;
  KJ_SYSCALL(ioctl(fd, TUNSETVNETHDRSZ, &headerSize), name);
  int littleEndian = 1;
  KJ_SYSCALL(ioctl(fd, TUNSETVNETLE, &littleEndian), name);
  KJ_SYSCALL(ioctl(fd, TUNSETOFFLOAD, 0), name);
}

uint16_t mtuOf(kj::StringPtr name) {
  auto request = requestFor(name);
  // Any socket answers for interfaces of its network namespace.
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd owned(fd);
  KJ_SYSCALL(ioctl(fd, SIOCGIFMTU, &request), name);
  KJ_REQUIRE(
      request.ifr_mtu + ETHERNET_HEADER + VLAN_TAG <= ring::BUFFER_SIZE,
      "the MTU of the TAP interface is too large for a frame buffer: set it to 1500 (ip link set dev NAME mtu 1500)",
      name, request.ifr_mtu);
  return static_cast<uint16_t>(request.ifr_mtu);
}

kj::AutoCloseFd openTap(kj::StringPtr name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  KJ_REQUIRE(
      fd >= 0,
      "/dev/net/tun cannot be opened: a TAP needs the right to it; backend = \"stream\" in [virtionetd] needs none",
      strerror(errno));
  kj::AutoCloseFd result(fd);
  take(fd, name);
  return result;
}

}  // namespace

void requireTapName(kj::StringPtr name) {
  KJ_REQUIRE(name.size() > 0 && name.size() < IFNAMSIZ, "tapName must be 1 to 15 characters long", name);
}

TapChannel::TapChannel(kj::UnixEventPort& eventPort, kj::Timer& timer, kj::StringPtr interfaceName)
    : timer(timer),
      name(kj::str(interfaceName)),
      fd(openTap(name)),
      mtu(mtuOf(name)),
      observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE) {}

LinkState TapChannel::linkState() {
  return {!away, mtu, away ? "the TAP interface is gone"_kj : ""_kj};
}

void TapChannel::lost(int error) {
  if (away) return;
  KJ_LOG(WARNING, "the TAP interface is gone; waiting for it to come back", name, strerror(error));
  away = true;
}

size_t TapChannel::tryRead(kj::ArrayPtr<kj::byte> out) {
  while (!away) {
    kj::byte header[VNET_HEADER];
    iovec parts[] = {{header, sizeof(header)}, {out.begin(), out.size()}};
    ssize_t count = readv(fd, parts, 2);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) lost(errno);
      return 0;
    }
    auto length = static_cast<size_t>(count);
    if (length > sizeof(header) + out.size()) {  // the kernel says the whole length and gives the beginning
      totals.droppedLong++;
    } else if (header[0] != 0 && (header[0] & ~FrameMeta::DATA_VALID) != 0) {  // flags: a checksum is left to us
      totals.droppedOffload++;
    } else if (header[1] != 0) {  // gso_type
      totals.droppedOffload++;
    } else if (length > sizeof(header)) {
      return length - sizeof(header);
    }
  }
  return 0;
}

bool TapChannel::tryWrite(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  if (away) {
    totals.droppedDown++;
    return true;
  }
  kj::byte header[VNET_HEADER] = {};
  iovec parts[FrameDevice::MAX_SEGMENTS + 1];
  KJ_REQUIRE(pieces.size() < kj::size(parts));
  parts[0] = {header, sizeof(header)};
  for (size_t i = 0; i < pieces.size(); i++)
    parts[i + 1] = {const_cast<kj::byte*>(pieces[i].begin()), pieces[i].size()};
  if (writev(fd, parts, static_cast<int>(pieces.size() + 1)) >= 0) return true;
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) return false;
  totals.droppedDown++;
  // EIO: the interface is set down, which is no loss of it. EINVAL: the kernel does not like this frame.
  if (errno != EIO && errno != EINVAL) lost(errno);
  return true;
}

kj::Promise<void> TapChannel::retake() {
  for (;;) {
    co_await timer.afterDelay(RETRY_DELAY);
    // A descriptor whose interface was deleted is free to take one again.
    auto failure = kj::runCatchingExceptions([this] {
      take(fd, name);
      mtu = mtuOf(name);
    });
    if (failure == nullptr) break;
  }
  away = false;
  totals.retaken++;
}

kj::Promise<void> TapChannel::whenReadable() {
  return away ? retake() : observer.whenBecomesReadable();
}

kj::Promise<void> TapChannel::whenWritable() {
  return away ? kj::Promise<void>(kj::NEVER_DONE) : observer.whenBecomesWritable();
}

void TapChannel::forEachCounter(EachCounter each) const {
  each("tap.droppedLong", totals.droppedLong);
  each("tap.droppedOffload", totals.droppedOffload);
  each("tap.droppedDown", totals.droppedDown);
  each("tap.retaken", totals.retaken);
}

}  // namespace nexus
