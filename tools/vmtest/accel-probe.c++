#include "tools/vmtest/accel-probe.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/vmtest/qemu-process.h"
#include "tools/vmtest/serial-lines.h"

namespace nexus::vmtest {

namespace {

constexpr kj::StringPtr CACHE_FILE = "kvm-probe"_kj;

kj::String identity(kj::StringPtr path) {
  struct stat stats;
  if (stat(path.cStr(), &stats) < 0) return kj::str("none");
  return kj::str(stats.st_dev, '.', stats.st_ino, '.', stats.st_size, '.', stats.st_mtim.tv_sec);
}

bool usable(kj::StringPtr device) {
  int fd = open(device.cStr(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  close(fd);
  return true;
}

kj::Promise<bool> bootsToTheEnd(kj::AsyncInputStream& console) {
  SerialLines lines;
  bool booted = false;
  kj::byte buffer[4096];
  while (!booted) {
    size_t n = co_await console.tryRead(buffer, 1, sizeof(buffer));
    if (n == 0) break;
    lines.feed(kj::arrayPtr(buffer, n), [&](kj::StringPtr line, kj::uint) {
      for (size_t i = 0; i < line.size(); i++) booted |= line.slice(i).startsWith("Kernel panic - not syncing: VFS");
    });
  }
  co_return booted;
}

}  // namespace

kj::String accelCacheKey(kj::StringPtr qemu, kj::StringPtr kernel) {
  auto filesystem = kj::newDiskFilesystem();
  auto bootId = filesystem->getRoot().tryOpenFile(kj::Path({"proc", "sys", "kernel", "random", "boot_id"}));
  kj::String boot = kj::str("unknown");
  KJ_IF_MAYBE (file, bootId) boot = kj::str((*file)->readAllText());
  for (char& c : boot) {
    if (c == '\n') c = ' ';
  }
  return kj::str(boot, identity(qemu), ' ', identity(kernel));
}

kj::Maybe<bool> AccelProbe::remembered() const {
  KJ_IF_MAYBE (directory, cache) {
    auto file = directory->tryOpenFile(kj::Path(CACHE_FILE));
    KJ_IF_MAYBE (f, file) {
      auto text = (*f)->readAllText();
      if (text == kj::str(cacheKey, "\nyes\n")) return true;
      if (text == kj::str(cacheKey, "\nno\n")) return false;
    }
  }
  return nullptr;
}

void AccelProbe::remember(bool boots) const {
  KJ_IF_MAYBE (directory, cache) {
    // Only a saving of time: a folder that cannot be written is no reason to fail.
    (void)kj::runCatchingExceptions([&] {
      auto replacer = directory->replaceFile(kj::Path(CACHE_FILE), kj::WriteMode::CREATE | kj::WriteMode::MODIFY);
      replacer->get().writeAll(kj::str(cacheKey, boots ? "\nyes\n" : "\nno\n"));
      replacer->commit();
    });
  }
}

void AccelProbe::forget(const kj::Directory& cache) {
  (void)kj::runCatchingExceptions([&] { cache.tryRemove(kj::Path(CACHE_FILE)); });
}

kj::Promise<AccelDecision> AccelProbe::decide(AccelChoice choice, kj::AsyncIoContext& io) const {
  if (choice == AccelChoice::TCG) co_return AccelDecision{Accel::TCG, kj::str("asked for")};
  if (choice == AccelChoice::KVM) co_return AccelDecision{Accel::KVM, kj::str("asked for")};
  if (!usable(device)) co_return AccelDecision{Accel::TCG, kj::str("no access to ", device)};
  auto known = remembered();
  KJ_IF_MAYBE (result, known) {
    co_return AccelDecision{*result ? Accel::KVM : Accel::TCG,
                            kj::str("KVM ", *result ? "boots" : "does not boot", " this kernel, tried before")};
  }
  bool result = co_await boots(io);
  remember(result);
  co_return AccelDecision{result ? Accel::KVM : Accel::TCG,
                          kj::str("KVM ", result ? "boots" : "does not boot", " this kernel, tried now")};
}

// The kernel alone. Where KVM is broken in parts, its early code still runs and prints, so only the end of the boot
// counts.
kj::Promise<bool> AccelProbe::boots(kj::AsyncIoContext& io) const {
  auto console = streamPair();
  int devNull;
  KJ_SYSCALL(devNull = open("/dev/null", O_WRONLY | O_CLOEXEC));
  kj::AutoCloseFd devNullOwner(devNull);
  kj::Vector<kj::String> args;
  for (auto word :
       {qemu, "-accel"_kj, "kvm"_kj, "-machine"_kj, "q35,kernel-irqchip=split"_kj, "-cpu"_kj, "max"_kj, "-m"_kj,
        "128"_kj, "-nodefaults"_kj, "-no-user-config"_kj, "-no-reboot"_kj, "-display"_kj, "none"_kj, "-kernel"_kj,
        kernel, "-append"_kj, "console=ttyS0 earlyprintk=ttyS0 panic=-1"_kj, "-chardev"_kj}) {
    args.add(kj::str(word));
  }
  args.add(kj::str("socket,id=console,fd=", console.theirs.get()));
  args.add(kj::str("-serial"));
  args.add(kj::str("chardev:console"));
  int inherited[] = {console.theirs.get()};
  QemuProcess process(io.unixEventPort, args, inherited, devNull);
  console.theirs = nullptr;
  auto stream = io.lowLevelProvider->wrapSocketFd(kj::mv(console.ours));
  auto spoke = bootsToTheEnd(*stream).catch_([](kj::Exception&&) { return false; });
  co_return co_await spoke.exclusiveJoin(io.provider->getTimer().afterDelay(PROBE_MAX).then([] { return false; }));
}

}  // namespace nexus::vmtest
