#pragma once
// One running guest: its QEMU, its two serial ports, its capture, its log files. Owned by the run; dropping it kills
// the guest. It tells a listener what happens and judges nothing.
#include <kj/async-io.h>

#include "libs/nexus-net-os/daemon/status-command.h"
#include "tools/vmtest/capture.h"
#include "tools/vmtest/failure-text.h"
#include "tools/vmtest/pcap-reader.h"
#include "tools/vmtest/qemu-command.h"
#include "tools/vmtest/qemu-process.h"
#include "tools/vmtest/sched-wait.h"
#include "tools/vmtest/serial-lines.h"

namespace nexus::vmtest {

class GuestListener {
 public:
  virtual void onConsoleLine(kj::byte node, kj::StringPtr line, kj::uint number) = 0;
  virtual void onStatusLine(kj::byte node, kj::StringPtr line) = 0;
  // After the last line.
  virtual void onExited(kj::byte node, kj::StringPtr how) = 0;
};

class GuestNode {
 public:
  // Bytes of one log file; what a guest writes beyond them is read and not stored.
  static constexpr uint64_t LOG_MAX = 16ull << 20;
  static constexpr kj::uint TAIL_LINES = 20;

  // spec: without descriptors. link: QEMU's end of the link to the other guest; null: the user network. Logs go to
  // `folder`.
  GuestNode(kj::AsyncIoContext& io, GuestSpec spec, kj::Maybe<kj::AutoCloseFd> link, bool captured,
            kj::StringPtr folder, GuestListener& listener);

  // Reads until QEMU is gone and its ports are empty.
  kj::Promise<void> run();

  // Tells the guest; resolves when the command is written, whether or not anybody reads it. Commands arrive in order.
  kj::Promise<void> send(const StatusCommand& command);
  void kill() { process->kill(); }

  // What its QEMU ran, and waited for a processor, so far. To be asked now and then: the end of a process hides it.
  const SchedTimes& lookTimes();

  bool ended() const { return process->ended(); }
  QemuReport report() const;
  // How far it came, for a guest that never spoke: "ran for 1.2 s, waited 38.0 s for a processor, ..."
  kj::String story() const;
  kj::String qemuLastLine() const;  // of what QEMU itself printed; empty when it printed nothing
  const Capture& capture() const { return captured; }
  kj::Maybe<kj::StringPtr> captureError() const { return pcap.error(); }
  LogTail tail() const;
  kj::StringPtr command() const { return commandText; }

 private:
  class LogFile {
   public:
    LogFile(kj::StringPtr path);
    void write(kj::ArrayPtr<const kj::byte> bytes);
    int fd() const { return file.get(); }

   private:
    kj::AutoCloseFd file;
    uint64_t written = 0;
  };

  kj::Promise<void> readPort(kj::AsyncInputStream& stream, LogFile& log, SerialLines& lines,
                             SerialLines::OnLine onLine);
  kj::Promise<void> consoleLoop();
  kj::Promise<void> statusLoop();
  kj::Promise<void> captureLoop();

  kj::AsyncIoContext& io;
  GuestListener& listener;
  const kj::byte node;
  LogFile consoleLog, statusLog, qemuLog;
  Capture captured;
  PcapReader pcap;
  SerialLines consoleLines, statusLines;
  kj::Vector<kj::String> recent;  // a ring of TAIL_LINES
  kj::String commandText;
  SchedTimes spent;
  kj::Own<kj::AsyncIoStream> console, status;
  kj::ForkedPromise<void> lastWrite = kj::Promise<void>(kj::READY_NOW).fork();  // to the status port
  kj::Maybe<kj::Own<kj::AsyncInputStream>> captureStream;
  kj::Own<QemuProcess> process;
};

}  // namespace nexus::vmtest
