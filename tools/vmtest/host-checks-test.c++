#include "tools/vmtest/host-checks.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus::vmtest {
namespace {

TEST_CASE("a program is found in the search path or by its path, and nothing else is") {
  CHECK(KJ_ASSERT_NONNULL(findProgram("sh", "/nowhere::/usr/bin:/bin")).endsWith("/sh"));
  CHECK(KJ_ASSERT_NONNULL(findProgram("/bin/sh", "")) == "/bin/sh");
  CHECK(findProgram("sh", "") == nullptr);
  CHECK(findProgram("qemu-that-is-not-there", "/usr/bin:/bin") == nullptr);
  CHECK(findProgram("/etc/passwd", "") == nullptr);
  CHECK(findProgram("/bin", "") == nullptr);
}

TEST_CASE("exactly the least space is enough and one KiB less is told with its remedy's numbers") {
  CHECK(spaceProblem("/x", FREE_KIB_MIN) == nullptr);
  CHECK(KJ_ASSERT_NONNULL(spaceProblem("/x", FREE_KIB_MIN - 1)) == "/x has 65535 KiB free, a run needs 65536");
  CHECK(freeKib("/") > 0);
}

TEST_CASE("an artifact must be a readable file with content") {
  CHECK(artifactProblem("kernel", "/bin/sh", "//x:y") == nullptr);
  CHECK(KJ_ASSERT_NONNULL(artifactProblem("kernel", "/does/not/exist", "//x:y")) ==
        "the kernel is not at /does/not/exist (No such file or directory): bazel build //x:y");
  CHECK(artifactProblem("kernel", "/dev/null", "//x:y") != nullptr);
  CHECK(artifactProblem("kernel", "/bin", "//x:y") != nullptr);
}

TEST_CASE("old runs go, newest first kept, each kind by its own count, and never a kept or an unfinished one") {
  kj::Vector<OldRun> runs;
  auto add = [&](kj::StringPtr name, bool finished, bool passed, bool kept) {
    runs.add(OldRun{kj::str(name), finished, passed, kept});
  };
  add("p--1", true, true, false);
  add("p--2", true, true, true);
  add("p--3", true, false, false);
  add("p--4", false, false, false);
  add("p--5", true, true, false);
  add("p--6", true, false, false);
  add("p--7", true, true, false);
  auto removed = runsToRemove(runs, 2, 1);
  REQUIRE(removed.size() == 2);
  CHECK(removed[0] == "p--3");
  CHECK(removed[1] == "p--1");
  CHECK(runsToRemove(runs, 3, 2).size() == 0);
}

TEST_CASE("folders on disk are pruned by what they say of themselves") {
  auto base = kj::newInMemoryDirectory(kj::nullClock());
  auto mode = kj::WriteMode::CREATE | kj::WriteMode::CREATE_PARENT;
  for (int i = 10; i < 20; i++)
    base->openFile(kj::Path({kj::str("os2vm--", i), kj::str("result.txt")}), mode)->writeAll("success\n");
  base->openFile(kj::Path({"os2vm--05", "result.txt"}), mode)->writeAll("failed\n");
  base->openFile(kj::Path({"os2vm--11", "keep"}), mode)->writeAll("");
  base->openFile(kj::Path({"other--01", "result.txt"}), mode)->writeAll("success\n");
  pruneRuns(*base, "os2vm");
  auto names = base->listNames();
  CHECK(kj::strArray(names, " ") == "os2vm--05 os2vm--11 os2vm--16 os2vm--17 os2vm--18 os2vm--19 other--01");
}

TEST_CASE("a run that was killed counts as a failed one, and one that is under way is never removed") {
  TemporaryFolder temporary;
  auto top = temporary.path();
  kj::Vector<kj::Maybe<kj::AutoCloseFd>> alive;
  for (int i = 10; i < 10 + int(KEEP_FAILED) + 4; i++) {
    auto folder = kj::str(top, "/os2vm--", i);
    REQUIRE((makeFolder(folder) == nullptr));
    auto lock = tryLockFile(kj::str(folder, '/', RUNNING_FILE));
    REQUIRE((lock != nullptr));
    CHECK((tryLockFile(kj::str(folder, '/', RUNNING_FILE)) == nullptr));
    if (i == 11) alive.add(kj::mv(lock));
  }
  REQUIRE((makeFolder(kj::str(top, "/os2vm--05")) == nullptr));  // says nothing of itself
  auto filesystem = kj::newDiskFilesystem();
  auto base = filesystem->getRoot().openSubdir(kj::Path::parse(top.slice(1)), kj::WriteMode::MODIFY);
  pruneRuns(*base, "os2vm");
  CHECK(base->listNames().size() == KEEP_FAILED + 2);
  for (auto name : {"os2vm--05"_kj, "os2vm--11"_kj, "os2vm--14"_kj}) CHECK(base->exists(kj::Path(name)));
  for (auto name : {"os2vm--10"_kj, "os2vm--12"_kj, "os2vm--13"_kj}) CHECK_FALSE(base->exists(kj::Path(name)));
}

TEST_CASE("a fresh folder is ours, new each time, and a foreign place is refused") {
  TemporaryFolder temporary;
  auto top = temporary.file("runs");
  auto fresh = [&] {
    auto made = freshRunFolder(top, "os2vm");
    return kj::str(made.get<kj::String>());
  };
  auto one = fresh(), two = fresh();
  CHECK(one != two);
  CHECK(one.startsWith(kj::str(top, "/os2vm--20")));
  CHECK(freshRunFolder("/bin/sh", "os2vm").get<FolderProblem>().sentence ==
        "/bin/sh is there and is not a folder of this user");
  CHECK(freshRunFolder("/nonexistent/x", "os2vm").get<FolderProblem>().sentence ==
        "cannot make the folder /nonexistent/x: No such file or directory");
  CHECK(makeFolder(kj::str(one, "/a/b")) == nullptr);
  CHECK(makeFolder("/bin/sh/x") != nullptr);
}

}  // namespace
}  // namespace nexus::vmtest
