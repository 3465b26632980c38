#include "libs/nexus-net-os/frame/stream-channel.h"

#include <errno.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "libs/nexus-net-os/base/unix-listen.h"

namespace nexus {

namespace {

constexpr size_t LENGTH_BYTES = 4;
constexpr size_t INPUT_BYTES = 128 * 1024;  // read from the socket at once; holds the longest frame
constexpr kj::StringPtr NOT_CONNECTED = "nobody is connected to the frame stream"_kj;

sockaddr_un unixAddress(kj::StringPtr path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  requireStreamPath(path);
  memcpy(address.sun_path, path.begin(), path.size());
  return address;
}

kj::AutoCloseFd newUnixSocket() {
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return kj::AutoCloseFd(fd);
}

uint32_t readLength(kj::ArrayPtr<const kj::byte> bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

// One connected peer.
struct StreamChannel::Connection {
  kj::AutoCloseFd fd;
  kj::UnixEventPort::FdObserver observer;
  kj::Array<kj::byte> input = kj::heapArray<kj::byte>(INPUT_BYTES);
  size_t begin = 0, end = 0;    // what of `input` has been read and not yet parsed
  size_t skip = 0;              // bytes left of a frame that fits no buffer
  kj::Vector<kj::byte> unsent;  // the rest of a frame that the socket took a part of

  Connection(kj::UnixEventPort& eventPort, kj::AutoCloseFd descriptor)
      : fd(kj::mv(descriptor)), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE) {}

  kj::ArrayPtr<const kj::byte> pending() const { return input.slice(begin, end); }

  enum class Fill { MORE, NOTHING, GONE };
  Fill fill() {
    if (begin > 0) {
      memmove(input.begin(), input.begin() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    ssize_t count = recv(fd, input.begin() + end, input.size() - end, MSG_DONTWAIT);
    if (count > 0) {
      end += static_cast<size_t>(count);
      return Fill::MORE;
    }
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? Fill::NOTHING : Fill::GONE;
  }

  // How many bytes the socket took; null when the peer is gone.
  kj::Maybe<size_t> send(kj::ArrayPtr<const iovec> parts) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.begin());
    message.msg_iovlen = parts.size();
    ssize_t count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return size_t{0};
    return nullptr;
  }

  // Sends what is left of an earlier frame. True when nothing is left; null when the peer is gone.
  kj::Maybe<bool> sendRest() {
    if (unsent.size() == 0) return true;
    iovec part{unsent.begin(), unsent.size()};
    auto sent = send(kj::arrayPtr(&part, 1));
    return sent.map([this](size_t count) {
      kj::Vector<kj::byte> rest;
      rest.addAll(unsent.asPtr().slice(count, unsent.size()));
      unsent = kj::mv(rest);
      return unsent.size() == 0;
    });
  }
};

StreamChannel::StreamChannel(kj::UnixEventPort& eventPort, kj::Timer& timer, Connect connect)
    : eventPort(eventPort), timer(timer), connect(kj::mv(connect)), loop(nullptr) {
  loop = connectLoop().eagerlyEvaluate([](kj::Exception&& exception) {
    KJ_LOG(ERROR, "the frame stream cannot connect any more", exception.getDescription());
  });
}

StreamChannel::~StreamChannel() noexcept(false) = default;

kj::Promise<void> StreamChannel::connectLoop() {
  auto delay = FIRST_DELAY;
  bool told = false;  // once per outage, not at every try
  for (;;) {
    kj::Maybe<kj::AutoCloseFd> connected;
    co_await kj::evalNow([&] { return connect(); })
        .then([&](kj::AutoCloseFd fd) { connected = kj::mv(fd); },
              [&](kj::Exception&& exception) {
                if (!told) KJ_LOG(WARNING, "no frame stream yet, trying on", exception.getDescription());
                told = true;
              });
    KJ_IF_MAYBE (fd, connected) {
      totals.connections++;
      connection = kj::heap<Connection>(eventPort, kj::mv(*fd));
      changed.wakeAll();
      while (connection != nullptr) co_await changed.wait();
      delay = FIRST_DELAY;
      told = false;
    }
    co_await timer.afterDelay(delay);
    former = nullptr;
    delay = kj::min(delay * 2, LAST_DELAY);
  }
}

void StreamChannel::lose(kj::StringPtr why) {
  KJ_LOG(WARNING, "the frame stream is down", why);
  former = kj::mv(connection);
  connection = nullptr;
  changed.wakeAll();
}

LinkState StreamChannel::linkState() {
  bool up = connection != nullptr;
  return {up, LinkState{}.mtu, up ? ""_kj : NOT_CONNECTED};
}

size_t StreamChannel::tryRead(kj::ArrayPtr<kj::byte> out) {
  KJ_IF_MAYBE (holder, connection) {
    auto& c = **holder;
    for (;;) {
      auto skipped = kj::min(c.skip, c.end - c.begin);
      c.begin += skipped;
      c.skip -= skipped;
      auto bytes = c.pending();
      if (c.skip == 0 && bytes.size() >= LENGTH_BYTES) {
        size_t length = readLength(bytes);
        if (length == 0 || length > MAX_FRAME) {
          totals.badLengths++;
          lose("the peer sent an impossible frame length");
          return 0;
        }
        if (length > out.size()) {
          totals.droppedLong++;
          c.begin += LENGTH_BYTES;
          c.skip = length;
          continue;
        }
        if (bytes.size() >= LENGTH_BYTES + length) {
          memcpy(out.begin(), bytes.begin() + LENGTH_BYTES, length);
          c.begin += LENGTH_BYTES + length;
          return length;
        }
      }
      switch (c.fill()) {
        case Connection::Fill::MORE:
          break;
        case Connection::Fill::NOTHING:
          return 0;
        case Connection::Fill::GONE:
          lose("the peer closed it");
          return 0;
      }
    }
  }
  return 0;
}

bool StreamChannel::tryWrite(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  KJ_IF_MAYBE (holder, connection) {
    auto& c = **holder;
    auto idle = c.sendRest();
    KJ_IF_MAYBE (isIdle, idle) {
      if (!*isIdle) return false;
    } else {
      lose("the peer closed it");
      return true;
    }
    size_t length = 0;
    for (auto& piece : pieces) length += piece.size();
    kj::byte prefix[LENGTH_BYTES] = {static_cast<kj::byte>(length >> 24), static_cast<kj::byte>(length >> 16),
                                     static_cast<kj::byte>(length >> 8), static_cast<kj::byte>(length)};
    iovec parts[FrameDevice::MAX_SEGMENTS + 1];
    KJ_REQUIRE(pieces.size() < kj::size(parts));
    parts[0] = {prefix, sizeof(prefix)};
    for (size_t i = 0; i < pieces.size(); i++)
      parts[i + 1] = {const_cast<kj::byte*>(pieces[i].begin()), pieces[i].size()};
    auto sent = c.send(kj::arrayPtr(parts, pieces.size() + 1));
    KJ_IF_MAYBE (count, sent) {
      if (*count == 0) return false;
      size_t taken = *count;
      for (auto& part : kj::arrayPtr(parts, pieces.size() + 1)) {
        auto bytes = kj::arrayPtr(static_cast<kj::byte*>(part.iov_base), part.iov_len);
        auto gone = kj::min(taken, bytes.size());
        taken -= gone;
        c.unsent.addAll(bytes.slice(gone, bytes.size()));
      }
      return true;
    }
    lose("the peer closed it");
    return true;
  }
  totals.droppedAway++;
  return true;
}

kj::Promise<void> StreamChannel::whenReadable() {
  KJ_IF_MAYBE (c, connection) return (*c)->observer.whenBecomesReadable().exclusiveJoin(changed.wait());
  return changed.wait();
}

kj::Promise<void> StreamChannel::whenWritable() {
  KJ_IF_MAYBE (c, connection) return (*c)->observer.whenBecomesWritable().exclusiveJoin(changed.wait());
  return changed.wait();
}

// Connecting ----------------------------------------

void requireStreamPath(kj::StringPtr path) {
  KJ_REQUIRE(path.size() > 0 && path.size() <= MAX_SOCKET_PATH, "streamPath must be 1 to 107 bytes long", path);
}

StreamChannel::Connect unixStreamConnector(kj::StringPtr path) {
  return [address = unixAddress(path)]() -> kj::Promise<kj::AutoCloseFd> {
    auto fd = newUnixSocket();
    // A Unix socket connects at once or not at all.
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      KJ_FAIL_REQUIRE("nobody listens at streamPath", address.sun_path, strerror(errno));
    }
    return kj::mv(fd);
  };
}

StreamChannel::Connect unixStreamListener(kj::UnixEventPort& eventPort, kj::StringPtr path) {
  requireStreamPath(path);
  struct Listener {
    kj::AutoCloseFd fd;
    kj::UnixEventPort::FdObserver observer;
    Listener(kj::UnixEventPort& eventPort, kj::AutoCloseFd descriptor)
        : fd(kj::mv(descriptor)), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

    kj::Promise<kj::AutoCloseFd> accept() {
      for (;;) {
        int peer = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer >= 0) co_return kj::AutoCloseFd(peer);
        KJ_REQUIRE(errno == EAGAIN || errno == EINTR || errno == ECONNABORTED, "accept", strerror(errno));
        co_await observer.whenBecomesReadable();
      }
    }
  };
  auto listener = kj::heap<Listener>(eventPort, listenUnix(path, 1));
  return [listener = kj::mv(listener)]() mutable { return listener->accept(); };
}

void StreamChannel::forEachCounter(EachCounter each) const {
  each("stream.connections", totals.connections);
  each("stream.droppedAway", totals.droppedAway);
  each("stream.droppedLong", totals.droppedLong);
  each("stream.badLengths", totals.badLengths);
}

}  // namespace nexus
