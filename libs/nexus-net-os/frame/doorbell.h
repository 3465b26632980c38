#pragma once
// How one process wakes the other: a Unix socket pair that carries meaningless bytes. Owned one end each by the two
// sides of a ring. Knows nothing of what the waking is about.
//
// Not an eventfd: that is one open file shared by both sides, so either could take O_NONBLOCK from it, fill its counter
// and leave the other blocked in write() for ever. A socket is asked not to block with every single call
// (MSG_DONTWAIT), which nobody else can undo.
#include <kj/async-unix.h>
#include <kj/io.h>

namespace nexus {

struct DoorbellFds {
  kj::AutoCloseFd listen, ring;
};

// Both ends, close-on-exec.
DoorbellFds newDoorbell();

// The ringing end.
class Doorbell {
 public:
  explicit Doorbell(kj::AutoCloseFd fd) : fd(kj::mv(fd)) {}

  // Never blocks. A bell that nobody has answered yet is not rung twice; one that nobody listens to any more is silent.
  void ring();

  uint64_t ringCount() const { return rings; }

 private:
  kj::AutoCloseFd fd;
  uint64_t rings = 0;
};

// The listening end.
class DoorbellListener {
 public:
  DoorbellListener(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd);

  // Resolves once the bell has been rung since the last time this resolved; never again when no ringing end is left.
  // One waiter.
  kj::Promise<void> whenRung();

 private:
  kj::AutoCloseFd fd;
  kj::UnixEventPort::FdObserver observer;
  bool more = false;  // the last read found its buffer full: the other side floods, and no edge may follow

  enum class Heard { NOTHING, RUNG, GONE };
  Heard drain();
};

}  // namespace nexus
