#include "tools/vmtest/guest-node.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <unistd.h>

#include "tools/vmtest/host-checks.h"
#include "tools/vmtest/ladder-view.h"

namespace nexus::vmtest {

namespace {

constexpr size_t PIPE_SIZE = 1 << 20;

kj::String logPath(kj::StringPtr folder, kj::StringPtr name, kj::byte node) {
  return kj::str(folder, '/', name, '-', NODE_NAMES[node], ".log");
}

// A QEMU that is killed before it read everything from us resets the socket: the end, like any other.
kj::Promise<size_t> untilEnd(kj::Promise<size_t> read) {
  return read.catch_([](kj::Exception&& exception) -> size_t {
    if (exception.getType() != kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(exception));
    return 0;
  });
}

}  // namespace

GuestNode::LogFile::LogFile(kj::StringPtr path) {
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path);
  file = kj::AutoCloseFd(fd);
}

void GuestNode::LogFile::write(kj::ArrayPtr<const kj::byte> bytes) {
  if (written >= LOG_MAX) return;
  auto part = bytes.slice(0, size_t(kj::min(uint64_t(bytes.size()), LOG_MAX - written)));
  kj::FdOutputStream(file.get()).write(part.begin(), part.size());
  written += part.size();
  if (written < LOG_MAX) return;
  constexpr kj::StringPtr END = "\n[the log is full; further output is read and not stored]\n"_kj;
  kj::FdOutputStream(file.get()).write(END.begin(), END.size());
}

GuestNode::GuestNode(kj::AsyncIoContext& io, GuestSpec spec, kj::Maybe<kj::AutoCloseFd> link, bool withCapture,
                     kj::StringPtr folder, GuestListener& listener)
    : io(io),
      listener(listener),
      node(spec.node),
      consoleLog(logPath(folder, "uart", spec.node)),
      statusLog(logPath(folder, "status", spec.node)),
      qemuLog(logPath(folder, "qemu", spec.node)),
      captured(macBytes(spec.mac)) {
  auto consolePair = streamPair(), statusPair = streamPair();
  kj::Vector<int> inherited;
  inherited.add(spec.consoleFd = consolePair.theirs.get());
  inherited.add(spec.statusFd = statusPair.theirs.get());
  KJ_IF_MAYBE (fd, link) {
    spec.linkFd = fd->get();
    inherited.add(fd->get());
  }
  kj::Maybe<FdPair> dump;
  if (withCapture) {
    auto& pair = dump.emplace(pipePair(PIPE_SIZE));
    spec.captureFd = pair.theirs.get();
    inherited.add(pair.theirs.get());
  }
  auto command = qemuCommand(spec);
  commandText = shellQuoted(command);
  qemuLog.write(kj::str("# ", commandText, '\n').asBytes());
  process = kj::heap<QemuProcess>(io.unixEventPort, command, inherited, qemuLog.fd());
  console = io.lowLevelProvider->wrapSocketFd(kj::mv(consolePair.ours));
  status = io.lowLevelProvider->wrapSocketFd(kj::mv(statusPair.ours));
  KJ_IF_MAYBE (pair, dump) captureStream = io.lowLevelProvider->wrapInputFd(kj::mv(pair->ours));
}

kj::Promise<void> GuestNode::run() {
  auto loops = kj::heapArrayBuilder<kj::Promise<void>>(3);
  loops.add(consoleLoop());
  loops.add(statusLoop());
  loops.add(captureLoop());
  auto all = kj::joinPromisesFailFast(loops.finish()).fork();
  // A loop that fails, because the disk is full, ends the run now and not when QEMU ends.
  auto failed = all.addBranch().then([]() -> kj::Promise<void> { return kj::NEVER_DONE; });
  co_await process->whenEnded().ignoreResult().exclusiveJoin(kj::mv(failed));
  // QEMU held the only other ends, so what it wrote is there and then comes the end. A helper it left behind could keep
  // them open.
  co_await all.addBranch().exclusiveJoin(io.provider->getTimer().afterDelay(1 * kj::SECONDS));
  listener.onExited(node, process->status());
}

kj::Promise<void> GuestNode::readPort(kj::AsyncInputStream& stream, LogFile& log, SerialLines& lines,
                                      SerialLines::OnLine onLine) {
  kj::byte buffer[16384];
  for (;;) {
    size_t n = co_await untilEnd(stream.tryRead(buffer, 1, sizeof(buffer)));
    if (n == 0) break;
    log.write(kj::arrayPtr(buffer, n));
    lines.feed(kj::arrayPtr(buffer, n), onLine);
  }
  lines.end(onLine);
}

kj::Promise<void> GuestNode::consoleLoop() {
  auto onLine = [this](kj::StringPtr line, kj::uint number) {
    if (recent.size() < TAIL_LINES) {
      recent.add(kj::str(line));
    } else {
      recent[(number - 1) % TAIL_LINES] = kj::str(line);
    }
    listener.onConsoleLine(node, line, number);
  };
  co_await readPort(*console, consoleLog, consoleLines, onLine);
}

kj::Promise<void> GuestNode::statusLoop() {
  auto onLine = [this](kj::StringPtr line, kj::uint) { listener.onStatusLine(node, line); };
  co_await readPort(*status, statusLog, statusLines, onLine);
}

kj::Promise<void> GuestNode::captureLoop() {
  KJ_IF_MAYBE (stream, captureStream) {
    auto buffer = kj::heapArray<kj::byte>(262144);
    for (;;) {
      size_t n = co_await untilEnd((*stream)->tryRead(buffer.begin(), 1, buffer.size()));
      if (n == 0) break;
      uint64_t now = hostNanoseconds();
      // A malformed stream stops being read as such; the bytes still leave the pipe, or the guest would stand still.
      pcap.feed(buffer.slice(0, n), [&](uint64_t stamp, kj::ArrayPtr<const kj::byte> frame, uint32_t original) {
        captured.add(stamp, now, frame, original);
      });
    }
  }
}

kj::Promise<void> GuestNode::send(const StatusCommand& command) {
  auto line = kj::str(encodeCommand(command), '\n');
  // One write at a time. The guest may be gone already; its exit is noticed elsewhere.
  lastWrite = lastWrite.addBranch()
                  .then([this, line = kj::mv(line)]() mutable {
                    auto written = status->write(line.begin(), line.size());
                    return written.attach(kj::mv(line));
                  })
                  .catch_([](kj::Exception&&) {})
                  .fork();
  return lastWrite.addBranch();
}

const SchedTimes& GuestNode::lookTimes() {
  auto now = schedTimes(process->pid());
  spent = {kj::max(spent.ran, now.ran), kj::max(spent.waited, now.waited)};
  return spent;
}

kj::String GuestNode::story() const {
  auto said = recent.size() == 0
                  ? kj::str("its console said nothing")
                  : kj::str("the last line on its console is: ", recent[(consoleLines.count() - 1) % TAIL_LINES]);
  return kj::str("ran for ", secondsText(spent.ran), ", waited ", secondsText(spent.waited), " for a processor, and ",
                 said);
}

QemuReport GuestNode::report() const {
  return QemuReport{kj::str(process->pid()), kj::str(process->ended() ? process->status() : "running"_kj)};
}

// QEMU writes to the log itself, so it is read from there: the end of it, which may be much.
kj::String GuestNode::qemuLastLine() const {
  constexpr off_t PART = 1024;
  char buffer[PART];
  off_t size = lseek(qemuLog.fd(), 0, SEEK_END);
  auto start = kj::max(off_t(0), size - PART);
  ssize_t count = pread(qemuLog.fd(), buffer, sizeof(buffer), start);
  auto text = kj::arrayPtr(buffer, size_t(kj::max(ssize_t(0), count)));
  while (text.size() > 0 && text.back() == '\n') text = text.slice(0, text.size() - 1);
  size_t begin = text.size();
  while (begin > 0 && text[begin - 1] != '\n') begin--;
  auto line = kj::heapString(text.slice(begin, text.size()));
  // Its first line is the command.
  return line.startsWith("# ") || (begin == 0 && start > 0) ? kj::String() : kj::mv(line);
}

LogTail GuestNode::tail() const {
  LogTail tail;
  kj::uint total = consoleLines.count();
  tail.firstNumber = total - kj::uint(recent.size()) + 1;
  for (kj::uint number = tail.firstNumber; number <= total; number++)
    tail.lines.add(kj::str(recent[(number - 1) % TAIL_LINES]));
  return tail;
}

}  // namespace nexus::vmtest
