#include "tools/vmtest/sched-wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <kj/common.h>
#include <kj/io.h>
#include <stdlib.h>
#include <unistd.h>

namespace nexus::vmtest {

namespace {

// The number at `at`, which is moved behind it; null when there is none.
kj::Maybe<uint64_t> number(const char*& at) {
  char* end;
  auto value = strtoull(at, &end, 10);
  if (end == at) return nullptr;
  at = end;
  return uint64_t(value);
}

kj::String firstLine(kj::StringPtr path) {
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return kj::String();
  kj::AutoCloseFd owner(fd);
  char text[128];
  ssize_t size = read(fd, text, sizeof(text));
  return size <= 0 ? kj::String() : kj::heapString(text, size_t(size));
}

}  // namespace

void addSchedStat(SchedTimes& times, kj::StringPtr line) {
  const char* at = line.cStr();
  auto ran = number(at);
  KJ_IF_MAYBE (r, ran) {
    auto waited = number(at);
    KJ_IF_MAYBE (w, waited) {
      times.ran += int64_t(*r) * kj::NANOSECONDS;
      times.waited = kj::max(times.waited, int64_t(*w) * kj::NANOSECONDS);
    }
  }
}

SchedTimes schedTimes(pid_t process) {
  SchedTimes times;
  auto folder = kj::str("/proc/", process, "/task");
  DIR* tasks = opendir(folder.cStr());
  if (tasks == nullptr) return times;
  KJ_DEFER(closedir(tasks));
  while (auto* entry = readdir(tasks)) {
    if (entry->d_name[0] != '.') addSchedStat(times, firstLine(kj::str(folder, '/', entry->d_name, "/schedstat")));
  }
  return times;
}

}  // namespace nexus::vmtest
