#pragma once
// A real daemon in a process of its own, for tests: its exports are listening Unix sockets in a fresh folder, made
// before it starts and inherited by it, so that a client may connect at once. Owned by a test; kills the process when
// dropped.
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <sys/types.h>

#include <string>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {

class DaemonProcess {
 public:
  // binary: path in the runfiles, "daemons/samgrd/samgrd". Standard output and error are caught.
  DaemonProcess(kj::StringPtr binary, kj::ArrayPtr<const kj::StringPtr> exports,
                kj::ArrayPtr<const kj::StringPtr> args);
  ~DaemonProcess() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(DaemonProcess);

  // The same program again after wait(), with the same arguments and the exports at the same paths: those listen when
  // this returns. What it prints is added to output().
  void startAgain();

  // Where the export listens.
  kj::String socketPath(kj::StringPtr exportName) const;

  // Reads what the process prints until a line begins with `prefix`. FAILED, with everything it printed, when it ends
  // before.
  void waitForLine(kj::StringPtr prefix);

  void terminate();  // SIGTERM
  void signal(int number);

  // Waits for the end: its exit status, or 128 + N for signal N.
  int wait();

  const std::string& output() const { return printed; }

 private:
  TemporaryFolder folder{TemporaryFolder::For::SOCKETS};
  kj::String binary;
  kj::Array<kj::String> exports, arguments;
  pid_t pid = -1;
  kj::AutoCloseFd pipe;
  std::string printed;

  void start();
  bool readMore();
};

}  // namespace nexus
