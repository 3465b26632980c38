#include "tools/vmtest/run-folder.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/io.h>
#include <unistd.h>

#include "tools/vmtest/host-checks.h"

namespace nexus::vmtest {

kj::Maybe<kj::String> RunFolder::choose(const Choice& choice) {
  profile = kj::str(choice.profile);
  KJ_IF_MAYBE (out, choice.out) {
    folder = kj::str(*out);
  } else {
    KJ_IF_MAYBE (outputs, choice.testOutputs) {
      folder = kj::str(*outputs);
    } else {
      auto place = kj::str(choice.tempDir, "/nexus-net-", geteuid());
      auto made = freshRunFolder(place, profile);
      KJ_IF_MAYBE (problem, made.tryGet<FolderProblem>()) return kj::mv(problem->sentence);
      folder = kj::mv(made.get<kj::String>());
      base = kj::mv(place);
    }
  }
  auto problem = makeFolder(folder);
  if (problem != nullptr) folder = kj::String();
  if (base.size() == 0 || problem != nullptr) return problem;
  running = tryLockFile(kj::str(folder, '/', RUNNING_FILE));
  if (choice.keep) write("keep", nullptr);
  return nullptr;
}

void RunFolder::write(kj::StringPtr name, kj::ArrayPtr<const kj::byte> content) const {
  writeWholeFile(kj::str(folder, '/', name), content);
}

void RunFolder::tidyUp() const {
  if (base.size() == 0) return;
  auto filesystem = kj::newDiskFilesystem();
  (void)kj::runCatchingExceptions([&] {
    pruneRuns(*filesystem->getRoot().openSubdir(filesystem->getCurrentPath().evalNative(base), kj::WriteMode::MODIFY),
              profile);
  });
}

void writeWholeFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> content) {
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path);
  kj::FdOutputStream(kj::AutoCloseFd(fd)).write(content.begin(), content.size());
}

}  // namespace nexus::vmtest
