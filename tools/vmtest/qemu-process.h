#pragma once
// A child process that cannot outlive the harness: QEMU, or a program that stands in for it. Its end is noticed at once
// (pidfd); dropping the object kills it; the kernel kills it when the harness dies. Owned by a guest node or a probe.
// Knows nothing of QEMU's arguments.
#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/string.h>
#include <sys/types.h>

namespace nexus::vmtest {

class QemuProcess {
 public:
  // arguments[0] is the program, searched in PATH. `inherited` descriptors keep their numbers; every other one is
  // closed in the child but standard output and error, which both go to `log`. Its own process group: Ctrl-C reaches
  // the harness alone. Throws when the process cannot be started at all; a program that does not exist shows as "exit
  // 127".
  QemuProcess(kj::UnixEventPort& port, kj::ArrayPtr<const kj::String> arguments, kj::ArrayPtr<const int> inherited,
              int log);
  ~QemuProcess() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(QemuProcess);

  pid_t pid() const { return child; }
  bool ended() const { return how.size() > 0; }
  // "exit 0", "signal 9"; empty while it runs.
  kj::StringPtr status() const { return how; }

  // Resolves with status() when it has ended. One caller at a time; dropping the promise loses nothing.
  kj::Promise<kj::StringPtr> whenEnded();

  void kill();

 private:
  bool tryReap(bool wait);

  pid_t child = 0;
  kj::AutoCloseFd pidfd;
  kj::Maybe<kj::UnixEventPort::FdObserver> observer;
  kj::String how;
};

// Both ends of a Unix socket or pipe, closed on exec until a child inherits them.
struct FdPair {
  kj::AutoCloseFd ours, theirs;
};
FdPair streamPair();
FdPair datagramPair();
FdPair pipePair(size_t capacity);  // ours reads

}  // namespace nexus::vmtest
