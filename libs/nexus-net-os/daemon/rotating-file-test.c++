#include "libs/nexus-net-os/daemon/rotating-file.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libs/nexus-net-os/daemon/sandbox.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

struct Folder : TemporaryFolder {
  void write(kj::StringPtr name, kj::StringPtr text) const { chmod(TemporaryFolder::write(name, text).cStr(), 0600); }
};

TEST_CASE("lines are appended to what is there, in a file for this user alone") {
  Folder f;
  {
    RotatingFile file(f.file("log"), 1000, 2);
    CHECK(file.tryAppend("one") == nullptr);
  }
  RotatingFile file(f.file("log"), 1000, 2);
  CHECK(file.tryAppend("two") == nullptr);
  CHECK(f.text("log") == "one\ntwo\n");
  struct stat status;
  KJ_SYSCALL(stat(f.file("log").cStr(), &status));
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a file is put aside before it would grow above its bound; the oldest goes; a longer line has its own file") {
  Folder f;
  RotatingFile file(f.file("log"), 8, 2);
  for (auto line : {"aaa", "bbb"}) CHECK(file.tryAppend(line) == nullptr);
  CHECK(file.rotationCount() == 0);  // 8 bytes: at the bound
  CHECK(f.text("log") == "aaa\nbbb\n");
  CHECK(file.tryAppend("c") == nullptr);
  CHECK(file.rotationCount() == 1);
  CHECK(f.text("log.1") == "aaa\nbbb\n");
  CHECK(f.text("log") == "c\n");
  CHECK(file.tryAppend("0123456789") == nullptr);
  CHECK(f.text("log") == "0123456789\n");
  CHECK(f.text("log.1") == "c\n");
  CHECK(f.text("log.2") == "aaa\nbbb\n");
  CHECK(file.tryAppend("d") == nullptr);
  CHECK(f.text("log.2") == "c\n");
  CHECK(f.text("log.3") == "(none)");
}

TEST_CASE("a line that a former run left without its end is ended first") {
  Folder f;
  f.write("log", "half a li");
  RotatingFile file(f.file("log"), 1000, 1);
  CHECK(file.tryAppend("whole") == nullptr);
  CHECK(f.text("log") == "half a li\nwhole\n");
}

TEST_CASE("a disk that is full is told of, a cut line is ended, and lines go on when there is room") {
  Folder f;
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    // A limit on the size of files acts as a full disk does: first a short write, then none.
    signal(SIGXFSZ, SIG_IGN);
    RotatingFile file(f.file("log"), 1000, 1);
    bool ok = file.tryAppend("0123456") == nullptr;
    rlimit limit{12, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    ok = ok && file.tryAppend("abcdefg") != nullptr && file.tryAppend("x") != nullptr;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    ok = ok && file.tryAppend("again") == nullptr;
    _exit(ok ? 0 : 1);
  }
  int status;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  CHECK(status == 0);
  CHECK(f.text("log") == "0123456\nabcd\nagain\n");
}

TEST_CASE("a rotation that fails is tried again with the next line, and nothing older is lost by it") {
  Folder f;
  RotatingFile file(f.file("log"), 4, 1);
  CHECK(file.tryAppend("aaa") == nullptr);
  KJ_SYSCALL(mkdir(f.file("log.1").cStr(), 0700));  // a file cannot take the place of a folder
  CHECK(file.tryAppend("bbb") != nullptr);
  CHECK(f.text("log") == "aaa\n");
  rmdir(f.file("log.1").cStr());
  CHECK(file.tryAppend("ccc") == nullptr);
  CHECK(f.text("log") == "ccc\n");
  CHECK(f.text("log.1") == "aaa\n");
}

TEST_CASE("a link, a folder, a file or a folder that others can change is refused") {
  Folder f;
  f.write("target", "");
  KJ_SYSCALL(symlink(f.file("target").cStr(), f.file("link").cStr()));
  CHECK_THROWS(RotatingFile(f.file("link"), 10, 1));
  KJ_SYSCALL(mkdir(f.file("folder").cStr(), 0700));
  CHECK_THROWS(RotatingFile(f.file("folder"), 10, 1));
  chmod(f.file("target").cStr(), 0640);
  CHECK_THROWS(RotatingFile(f.file("target"), 10, 1));
  chmod(f.file("target").cStr(), 0600);
  chmod(f.path().cStr(), 0777);
  CHECK_THROWS(RotatingFile(f.file("target"), 10, 1));
  chmod(f.path().cStr(), 0700);
  RotatingFile works(f.file("target"), 10, 1);
}

TEST_CASE("appending and rotating go on inside the sandbox") {
  Folder f;
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    RotatingFile file(f.file("log"), 4, 2);
    int writable[] = {file.folderFd()};
    enterSandbox(SandboxProfile::STACK, {nullptr, writable});
    bool ok = true;
    for (auto line : {"a", "b", "c", "d", "e"}) ok = ok && file.tryAppend(line) == nullptr;
    _exit(ok ? 0 : 1);
  }
  int status;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  CHECK(status == 0);
  CHECK(f.text("log") == "e\n");
  CHECK(f.text("log.1") == "c\nd\n");
}

}  // namespace
}  // namespace nexus
