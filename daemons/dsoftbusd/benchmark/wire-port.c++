#include "daemons/dsoftbusd/benchmark/wire-port.h"

#include <kj/debug.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr uint32_t LENT = ~uint32_t(0);  // delivered, and not yet given back
constexpr size_t BATCH = 256;            // frames delivered before others in this process have their turn

}  // namespace

SharedWire::SharedWire() {
  void* memory = mmap(nullptr, 2 * sizeof(Direction), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  KJ_ASSERT(memory != MAP_FAILED);
  directions = static_cast<Direction*>(memory);  // zeros: every slot is free
  for (auto& bell : bells) {
    int fd;
    KJ_SYSCALL(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    bell = kj::AutoCloseFd(fd);
  }
}

SharedWire::~SharedWire() noexcept(false) {
  munmap(directions, 2 * sizeof(Direction));
}

WirePort::WirePort(SharedWire& wire, kj::uint end, kj::UnixEventPort& eventPort)
    : wire(wire), end(end), bell(eventPort, wire.bellOf(end), kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

bool WirePort::transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta&) {
  auto& slot = wire.towards(1 - end).slots[nextOut % SharedWire::SLOTS];
  if (slot.length.load(std::memory_order_acquire) != 0) return false;
  size_t length = 0;
  for (auto piece : pieces) {
    KJ_REQUIRE(piece.size() <= SharedWire::SLOT_BYTES - length, "longer than the link takes");
    memcpy(slot.bytes + length, piece.begin(), piece.size());
    length += piece.size();
  }
  slot.length.store(length, std::memory_order_release);
  nextOut++;
  return true;
}

void WirePort::flush() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (wire.towards(1 - end).asleep.load() && wire.towards(1 - end).asleep.exchange(false)) {
    uint64_t one = 1;
    ssize_t n;
    KJ_SYSCALL(n = write(wire.bellOf(1 - end), &one, sizeof(one)));
  }
}

void WirePort::release(uint32_t token) noexcept {
  wire.towards(end).slots[token].length.store(0, std::memory_order_release);
}

bool WirePort::deliver(Receiver& receiver) {
  size_t frames = 0;
  for (; frames < BATCH; frames++) {
    uint32_t token = nextIn % SharedWire::SLOTS;
    auto& slot = wire.towards(end).slots[token];
    uint32_t length = slot.length.load(std::memory_order_acquire);
    if (length == 0 || length == LENT) break;
    slot.length.store(LENT, std::memory_order_relaxed);
    nextIn++;
    ReceivedPiece piece(kj::arrayPtr(slot.bytes, length), *this, token);
    receiver.frameReceived(kj::arrayPtr(&piece, 1), FrameMeta{});
  }
  if (frames > 0) receiver.batchDone();
  return frames > 0;
}

kj::Promise<void> WirePort::receiveLoop(Receiver& receiver) {
  auto& incoming = wire.towards(end);
  for (;;) {
    if (deliver(receiver)) {
      co_await kj::evalLast([] {});
      continue;
    }
    incoming.asleep.store(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (deliver(receiver)) {
      incoming.asleep.store(false);
      continue;
    }
    co_await bell.whenBecomesReadable();
    uint64_t rings;
    ssize_t n;
    KJ_NONBLOCKING_SYSCALL(n = read(wire.bellOf(end), &rings, sizeof(rings)));
  }
}

}  // namespace nexus
