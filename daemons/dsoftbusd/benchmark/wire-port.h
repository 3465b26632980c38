#pragma once
// For benchmarks: a link between two stacks in two processes, as two ring ports with a wire between them would be, but
// with nobody in between: each end copies a frame to send into memory that both share, and receives in place. Made
// before the processes part; each end is used by one of them. Knows nothing of what the frames are.
#include <kj/async-unix.h>
#include <kj/io.h>

#include <atomic>

#include "libs/nexus-net-os/frame/frame-port.h"

namespace nexus {

// The memory of both directions, and the bells that wake.
class SharedWire final {
 public:
  static constexpr size_t SLOTS = 1024, SLOT_BYTES = 2048;

  struct Slot {
    std::atomic<uint32_t> length;  // 0: free, and the sender's
    alignas(64) kj::byte bytes[SLOT_BYTES];
  };
  struct Direction {
    std::atomic<bool> asleep;
    Slot slots[SLOTS];
  };

  SharedWire();
  ~SharedWire() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SharedWire);

  Direction& towards(kj::uint end) { return directions[end]; }
  int bellOf(kj::uint end) { return bells[end]; }  // an eventfd

 private:
  Direction* directions;
  kj::AutoCloseFd bells[2];
};

class WirePort final : public FramePort, private ReceivedPiece::Owner {
 public:
  // `end` is 0 or 1, and the last byte of the MAC address.
  WirePort(SharedWire& wire, kj::uint end, kj::UnixEventPort& eventPort);

  // implements FramePort ----------------------------------------
  MacAddress macAddress() override { return {{0x52, 0x54, 0x00, 0x12, 0x34, kj::byte(end)}}; }
  LinkState linkState() override { return {.up = true, .mtu = 1500, .reason = nullptr}; }
  bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) override;
  void flush() override;
  kj::Promise<void> receiveLoop(Receiver& receiver) override;

 private:
  SharedWire& wire;
  kj::uint end;
  kj::UnixEventPort::FdObserver bell;
  uint32_t nextOut = 0, nextIn = 0;

  void release(uint32_t token) noexcept override;
  bool deliver(Receiver& receiver);
};

}  // namespace nexus
