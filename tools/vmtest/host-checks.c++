#include "tools/vmtest/host-checks.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace nexus::vmtest {

kj::Maybe<kj::String> findProgram(kj::StringPtr program, kj::StringPtr searchPath) {
  auto runnable = [](kj::StringPtr path) {
    struct stat stats;
    return stat(path.cStr(), &stats) == 0 && S_ISREG(stats.st_mode) && access(path.cStr(), X_OK) == 0;
  };
  if (program.findFirst('/') != nullptr) {
    if (runnable(program)) return kj::str(program);
    return nullptr;
  }
  while (searchPath.size() > 0) {
    size_t end = searchPath.findFirst(':').orDefault(searchPath.size());
    auto candidate = kj::str(kj::heapString(searchPath.begin(), end), '/', program);
    if (end > 0 && runnable(candidate)) return kj::mv(candidate);
    searchPath = searchPath.slice(kj::min(end + 1, searchPath.size()));
  }
  return nullptr;
}

kj::Maybe<kj::String> spaceProblem(kj::StringPtr path, uint64_t freeKib) {
  if (freeKib >= FREE_KIB_MIN) return nullptr;
  return kj::str(path, " has ", freeKib, " KiB free, a run needs ", FREE_KIB_MIN);
}

uint64_t freeKib(kj::StringPtr path) {
  struct statvfs stats;
  KJ_SYSCALL(statvfs(path.cStr(), &stats), path);
  return uint64_t(stats.f_bavail) * stats.f_frsize / 1024;
}

uint64_t hostNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return uint64_t(now.tv_sec) * 1000000000ull + uint64_t(now.tv_nsec);
}

kj::Maybe<kj::String> artifactProblem(kj::StringPtr what, kj::StringPtr path, kj::StringPtr label) {
  struct stat stats;
  if (stat(path.cStr(), &stats) < 0)
    return kj::str("the ", what, " is not at ", path, " (", strerror(errno), "): bazel build ", label);
  if (!S_ISREG(stats.st_mode) || stats.st_size == 0)
    return kj::str("the ", what, " at ", path, " is not a file with content: bazel build ", label);
  if (access(path.cStr(), R_OK) < 0) return kj::str("the ", what, " at ", path, " cannot be read: ", strerror(errno));
  return nullptr;
}

kj::Vector<kj::StringPtr> runsToRemove(kj::ArrayPtr<const OldRun> runs, kj::uint keepPassed, kj::uint keepFailed) {
  kj::Vector<const OldRun*> newestFirst;
  for (auto& run : runs) newestFirst.add(&run);
  std::sort(newestFirst.begin(), newestFirst.end(), [](const OldRun* a, const OldRun* b) { return b->name < a->name; });
  kj::Vector<kj::StringPtr> out;
  kj::uint passed = 0, failed = 0;
  for (auto* run : newestFirst) {
    if (!run->finished || run->kept) continue;
    if (run->passed ? ++passed > keepPassed : ++failed > keepFailed) out.add(run->name);
  }
  return out;
}

kj::Maybe<kj::AutoCloseFd> tryLockFile(kj::StringPtr path) {
  kj::AutoCloseFd fd(open(path.cStr(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) return nullptr;
  return kj::mv(fd);
}

namespace {

// Whoever made this folder has ended. Without the file nothing is known, so it is taken for one that lives.
bool hasEnded(const kj::ReadableDirectory& folder) {
  auto running = folder.tryOpenFile(kj::Path(RUNNING_FILE));
  KJ_IF_MAYBE (file, running) {
    KJ_IF_MAYBE (fd, (*file)->getFd()) return flock(*fd, LOCK_EX | LOCK_NB) == 0;  // closing it gives it back
  }
  return false;
}

}  // namespace

void pruneRuns(const kj::Directory& base, kj::StringPtr profile) {
  kj::Vector<OldRun> runs;
  auto prefix = kj::str(profile, "--");
  for (auto& name : base.listNames()) {
    if (!name.startsWith(prefix)) continue;
    auto folder = base.tryOpenSubdir(kj::Path(name));
    KJ_IF_MAYBE (f, folder) {
      auto result = (*f)->tryOpenFile(kj::Path("result.txt"));
      bool finished = result != nullptr || hasEnded(**f), passed = false;
      KJ_IF_MAYBE (file, result) passed = (*file)->readAllText() == "success\n";
      runs.add(OldRun{kj::str(name), finished, passed, (*f)->exists(kj::Path("keep"))});
    }
  }
  for (auto name : runsToRemove(runs)) base.tryRemove(kj::Path(name));
}

kj::OneOf<kj::String, FolderProblem> freshRunFolder(kj::StringPtr base, kj::StringPtr profile) {
  if (mkdir(base.cStr(), 0700) < 0) {
    int error = errno;
    if (error != EEXIST) return FolderProblem{kj::str("cannot make the folder ", base, ": ", strerror(error))};
    struct stat stats;
    if (lstat(base.cStr(), &stats) < 0 || !S_ISDIR(stats.st_mode) || stats.st_uid != geteuid())
      return FolderProblem{kj::str(base, " is there and is not a folder of this user")};
  }
  time_t now = time(nullptr);
  tm utc;
  gmtime_r(&now, &utc);
  char stamp[32];
  strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%SZ", &utc);
  auto path = kj::str(base, '/', profile, "--", stamp, "-XXXXXX");
  if (mkdtemp(path.begin()) == nullptr)
    return FolderProblem{kj::str("cannot make a folder in ", base, ": ", strerror(errno))};
  return kj::mv(path);
}

kj::Maybe<kj::String> makeFolder(kj::StringPtr path) {
  for (size_t i = 1; i <= path.size(); i++) {
    if (i < path.size() && path[i] != '/') continue;
    auto part = kj::heapString(path.begin(), i);
    if (mkdir(part.cStr(), 0755) < 0 && errno != EEXIST)
      return kj::str("cannot make the folder ", part, ": ", strerror(errno));
  }
  struct stat stats;
  if (stat(path.cStr(), &stats) < 0 || !S_ISDIR(stats.st_mode)) return kj::str(path, " is not a folder");
  if (access(path.cStr(), W_OK) < 0) return kj::str("cannot write in the folder ", path, ": ", strerror(errno));
  return nullptr;
}

}  // namespace nexus::vmtest
