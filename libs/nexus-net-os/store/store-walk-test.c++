#include "libs/nexus-net-os/store/store-walk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

// An open folder with a file, a folder, a pipe and links in it.
struct Fixture : TemporaryFolder {
  kj::AutoCloseFd folder;

  Fixture() {
    write("file", "x");
    fs::create_directory(root / "folder");
    fs::create_symlink("file", root / "link");
    fs::create_directory_symlink("/etc", root / "linkedFolder");
    KJ_SYSCALL(mkfifo((root / "pipe").c_str(), 0600));
    int fd;
    KJ_SYSCALL(fd = open(path().cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    folder = kj::AutoCloseFd(fd);
  }

  // Why it was refused; empty when it was opened.
  kj::String opened(kj::StringPtr name, EntryKind kind) {
    kj::AutoCloseFd out;
    auto bad = openEntry(folder, name, "bundle", kind, out);
    KJ_IF_MAYBE (r, bad) return kj::mv(r->reason);
    CHECK(out.get() >= 0);
    return kj::str();
  }
};

TEST_CASE("what was exchanged for a link after it was seen is not opened") {
  Fixture f;
  CHECK(f.opened("file", EntryKind::FILE) == "");
  CHECK(f.opened("folder", EntryKind::FOLDER) == "");
  CHECK(f.opened("link", EntryKind::FILE) == "bundle/link is a symbolic link");
  CHECK(f.opened("linkedFolder", EntryKind::FOLDER) == "bundle/linkedFolder is a symbolic link");
}

TEST_CASE("what was exchanged for another kind, or is gone, is refused, and a pipe is not waited for") {
  Fixture f;
  CHECK(f.opened("file", EntryKind::FOLDER) == "bundle/file is a file");
  CHECK(f.opened("folder", EntryKind::FILE) == "bundle/folder is a folder");
  CHECK(f.opened("pipe", EntryKind::FILE) == "bundle/pipe is neither file nor folder");
  CHECK(f.opened("nothing", EntryKind::FILE) == "bundle/nothing is gone again");
}

TEST_CASE("a file is read whole, and one that is shorter than it was is told by its name") {
  Fixture f;
  f.write("three", "abc");
  kj::AutoCloseFd file;
  for (size_t size : {0, 2, 3}) {
    REQUIRE(openEntry(f.folder, "three", "bundle", EntryKind::FILE, file) == nullptr);
    CHECK(readWholeFile(file, size, "bundle/three") == kj::StringPtr("abc").asBytes().slice(0, size));
  }
  REQUIRE(openEntry(f.folder, "three", "bundle", EntryKind::FILE, file) == nullptr);
  CHECK_THROWS_WITH(readWholeFile(file, 4, "bundle/three"), doctest::Contains("bundle/three"));
}

TEST_CASE("a folder is read in order of names, and what is unfit says why") {
  Fixture f;
  auto entries = readFolder(f.folder, "bundle", 5);
  REQUIRE(entries.size() == 5);
  CHECK(entries[0].name == "file");
  CHECK_FALSE(entries[0].isFolder);
  CHECK(entries[1].name == "folder");
  CHECK(entries[1].isFolder);
  for (size_t i = 2; i < 5; i++) CHECK(entries[i].refusal != nullptr);
  CHECK_THROWS(readFolder(f.folder, "bundle", 4));
}

TEST_CASE("names that climb or hide are no store names") {
  for (kj::StringPtr good : {"a"_kj, "1.0.0-a"_kj, "lib_x+y"_kj, "Z9"_kj, "a..b"_kj}) CHECK(isStoreName(good));
  for (kj::StringPtr bad : {""_kj, "."_kj, ".."_kj, ".x"_kj, "a/b"_kj, "a\\b"_kj, "a b"_kj, "\xc3\xb6"_kj, "a\n"_kj}) {
    CHECK_FALSE(isStoreName(bad));
  }
  CHECK(isStoreName(kj::str(kj::repeat('n', 255))));
  CHECK_FALSE(isStoreName(kj::str(kj::repeat('n', 256))));
}

}  // namespace
}  // namespace nexus
