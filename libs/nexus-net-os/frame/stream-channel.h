#pragma once
// Frames over a Unix stream socket, each behind a 4-byte big-endian length: what QEMU `-netdev stream`, passt and
// gvproxy speak. Connects, or listens for one peer at a time, and does so again whenever the connection is lost. Owned
// by a backend. Knows nothing of what the frames are.
#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/timer.h>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/frame/frame-channel.h"

namespace nexus {

class StreamChannel final : public FrameChannel {
 public:
  static constexpr size_t MAX_FRAME = 65536;        // bytes; a longer length is no frame but a confused peer
  static constexpr size_t MAX_UNSENT = 256 * 1024;  // bytes kept when the socket takes only a part
  static constexpr kj::Duration FIRST_DELAY =
      50 * kj::MILLISECONDS;  // between attempts to connect; doubles up to LAST_DELAY
  static constexpr kj::Duration LAST_DELAY = 2 * kj::SECONDS;

  // All grow only.
  struct Counters {
    uint64_t connections = 0;
    uint64_t droppedAway = 0;  // frames sent while nobody was connected
    uint64_t droppedLong = 0;  // frames received that fit no buffer
    uint64_t badLengths = 0;   // connections ended because of a length of 0 or above MAX_FRAME
  };

  // Gives the next connection, or fails. Waits for as long as it takes.
  using Connect = kj::Function<kj::Promise<kj::AutoCloseFd>()>;

  // `eventPort` and `timer` must outlive this.
  StreamChannel(kj::UnixEventPort& eventPort, kj::Timer& timer, Connect connect);
  ~StreamChannel() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(StreamChannel);

  const Counters& counters() const { return totals; }

  // implements FrameChannel ----------------------------------------
  LinkState linkState() override;
  void forEachCounter(EachCounter each) const override;
  size_t tryRead(kj::ArrayPtr<kj::byte> out) override;
  bool tryWrite(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenReadable() override;
  kj::Promise<void> whenWritable() override;

 private:
  struct Connection;
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  Connect connect;
  Counters totals;
  kj::Maybe<kj::Own<Connection>> connection;
  kj::Maybe<kj::Own<Connection>> former;  // lost, but somebody may still wait on its descriptor
  WaitList changed;                       // connected or lost
  kj::Promise<void> loop;

  kj::Promise<void> connectLoop();
  void lose(kj::StringPtr why);
};

// FAILED, naming the setting, when the path is empty or longer than a socket's path may be.
void requireStreamPath(kj::StringPtr path);

// Connects to the Unix socket at `path` with every call. FAILED, at once, when the path is too long.
StreamChannel::Connect unixStreamConnector(kj::StringPtr path);

// Listens at `path`, from now on, for one peer after the other; takes over a socket left there by a former run. FAILED
// when it cannot, also because another process listens there.
StreamChannel::Connect unixStreamListener(kj::UnixEventPort& eventPort, kj::StringPtr path);

}  // namespace nexus
