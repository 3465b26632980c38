#include "daemons/bundlemgrd/bundle-store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "libs/nexus-net-os/testing/temporary-store.h"
#include "libs/oslite-frames/bundle-image.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

// A store of its own in a fresh folder.
struct Fixture : TemporaryStore {
  void link(kj::StringPtr path, kj::StringPtr target) {
    auto full = root / path.cStr();
    fs::create_directories(full.parent_path());
    fs::create_symlink(target.cStr(), full);
  }

  BundleStore store(const StoreLimits& limits = {}) { return BundleStore(root.c_str(), limits); }

  kj::String listed(const StoreLimits& limits = {}) {
    auto listing = store(limits).list();
    return kj::strArray(KJ_MAP(b, listing.bundles) { return kj::str(b.name, '/', b.version); }, " ");
  }

  // The reasons of all refusals.
  kj::String refused(const StoreLimits& limits = {}) {
    auto listing = store(limits).list();
    return kj::strArray(KJ_MAP(r, listing.refused) { return kj::str(r.name, ": ", r.reason); }, "; ");
  }

  kj::String imagePaths() {
    auto image = store().image();
    auto entries = KJ_ASSERT_NONNULL(nxbi::decodeImage(image));
    return kj::strArray(KJ_MAP(e, entries) { return kj::str(e.bundle, '/', e.version, '/', e.path); }, " ");
  }
};

kj::StringPtr descriptionOf(const kj::Maybe<kj::Exception>& failure) {
  KJ_IF_MAYBE (e, failure) return e->getDescription();
  return ""_kj;
}

TEST_CASE("the seed store lists one bundle, and its image holds its one file") {
  Fixture f;
  auto listing = f.store().list();
  REQUIRE(listing.bundles.size() == 1);
  CHECK(listing.bundles[0].name == "system");
  CHECK(listing.bundles[0].version == "1.0.0");
  CHECK(listing.bundles[0].files == 1);
  CHECK(listing.bundles[0].bytes == 19);
  CHECK(listing.refused.size() == 0);
  auto image = f.store().image();
  auto entries = KJ_ASSERT_NONNULL(nxbi::decodeImage(image));
  REQUIRE(entries.size() == 1);
  CHECK(entries[0] ==
        nxbi::Entry{"system"_kj, "1.0.0"_kj, "build.prop"_kj, nxbi::KIND_FILE, "ro.nexus.build=dev\n"_kj.asBytes()});
}

TEST_CASE("bundles come by name and version, files by path, folders included") {
  Fixture f;
  f.write("app/2.0/b", "2");
  f.write("app/1.0/lib/z", "z");
  f.write("app/1.0/lib/a", "a");
  f.write("app/1.0/bin", "bin");
  CHECK(f.listed() == "app/1.0 app/2.0 system/1.0.0");
  CHECK(f.imagePaths() == "app/1.0/bin app/1.0/lib/a app/1.0/lib/z app/2.0/b system/1.0.0/build.prop");
}

TEST_CASE("every call reads the disk as it is then") {
  Fixture f;
  auto store = f.store();
  CHECK(store.list().bundles.size() == 1);
  f.write("app/1.0/x", "x");
  CHECK(store.list().bundles.size() == 2);
  fs::remove_all(f.root / "system");
  CHECK(store.list().bundles.size() == 1);
  auto image = store.image();
  CHECK(KJ_ASSERT_NONNULL(nxbi::decodeImage(image)).size() == 1);
}

TEST_CASE("a store that is not there is told by name, with the remedy") {
  auto failure = kj::runCatchingExceptions([] { BundleStore("/nonexistent/store"); });
  CHECK(descriptionOf(failure).startsWith("the bundle store cannot be opened"));
  CHECK(kj::str(descriptionOf(failure)).asArray().size() > 0);
  CHECK(std::string(descriptionOf(failure).cStr()).find("/nonexistent/store") != std::string::npos);
  CHECK(std::string(descriptionOf(failure).cStr()).find("set `store`") != std::string::npos);
}

TEST_CASE("an empty store is an empty list and an empty image") {
  Fixture f;
  fs::remove_all(f.root / "system");
  CHECK(f.store().list().bundles.size() == 0);
  CHECK(KJ_ASSERT_NONNULL(nxbi::decodeImage(f.store().image())).size() == 0);
}

TEST_CASE("a link anywhere in a bundle leaves that bundle out, and only that one") {
  SUBCASE("to a file outside") {
    Fixture f;
    f.link("evil/1.0/passwd", "/etc/passwd");
    CHECK(f.listed() == "system/1.0.0");
    CHECK(f.refused() == "evil: evil/1.0/passwd is a symbolic link");
    CHECK(f.imagePaths() == "system/1.0.0/build.prop");
  }
  SUBCASE("to a folder outside, in place of a folder, a version or a bundle") {
    Fixture f;
    f.link("evil/1.0/sub", "/etc");
    f.link("evil2/1.0", "/etc");
    CHECK(f.refused() == "evil: evil/1.0/sub is a symbolic link; evil2: evil2/1.0 is a symbolic link");
    CHECK(f.listed() == "system/1.0.0");
  }
  SUBCASE("to a file of the same bundle") {
    Fixture f;
    f.write("app/1.0/real", "x");
    f.link("app/1.0/alias", "real");
    CHECK(f.refused() == "app: app/1.0/alias is a symbolic link");
  }
  SUBCASE("that leads nowhere") {
    Fixture f;
    f.link("app/1.0/dangling", "../../../nowhere");
    CHECK(f.refused() == "app: app/1.0/dangling is a symbolic link");
  }
}

TEST_CASE("what stands beside the bundles and is none is left out by itself") {
  Fixture f;
  f.link("evil", "/etc");
  f.write(".git/x", "x");
  CHECK(f.listed() == "system/1.0.0");
  CHECK(f.refused() == ".git: .git has a name that is not allowed; evil: evil is a symbolic link");
  CHECK(f.imagePaths() == "system/1.0.0/build.prop");
}

TEST_CASE("pipes, sockets and hidden or odd names leave a bundle out") {
  Fixture f;
  f.write("app/1.0/x", "x");
  SUBCASE("a pipe is not waited for") {
    KJ_SYSCALL(mkfifo((f.root / "app/1.0/pipe").c_str(), 0600));
    CHECK(f.refused() == "app: app/1.0/pipe is neither file nor folder");
  }
  SUBCASE("a hidden file") {
    f.write("app/1.0/.hidden", "x");
    CHECK(f.refused() == "app: app/1.0/.hidden has a name that is not allowed");
  }
  SUBCASE("a name with a space") {
    f.write("app/1.0/a b", "x");
    CHECK(f.refused() == "app: app/1.0/a b has a name that is not allowed");
  }
  SUBCASE("a name with a backslash") {
    f.write("app/1.0/..\\x", "x");
    CHECK(f.listed() == "system/1.0.0");
  }
  SUBCASE("a file where a version should be") {
    f.write("app/readme", "x");
    CHECK(f.refused() == "app: app/readme is a file");
  }
  SUBCASE("a file where a bundle should be") {
    f.write("readme", "x");
    CHECK(f.refused() == "readme: readme is a file");
    CHECK(f.listed() == "app/1.0 system/1.0.0");
  }
}

TEST_CASE("the number of bundles is bounded") {
  Fixture f;
  f.write("app/1.0/x", "x");
  f.write("app/2.0/x", "x");
  CHECK(f.listed({.bundles = 3}) == "app/1.0 app/2.0 system/1.0.0");
  CHECK_THROWS(f.listed({.bundles = 2}));
  CHECK_THROWS(f.listed({.bundles = 1}));
}

TEST_CASE("the number of files is bounded over all bundles") {
  Fixture f;
  f.write("app/1.0/x", "x");
  f.write("app/1.0/y", "y");
  CHECK(f.store({.files = 3}).list().bundles.size() == 2);
  CHECK_THROWS(f.store({.files = 2}).list());
}

TEST_CASE("the size of the image is bounded before anything is read") {
  Fixture f;
  auto size = f.store().image().size();
  CHECK(f.store({.bytes = size}).image().size() == size);
  CHECK_THROWS(f.store({.bytes = size - 1}).image());
  CHECK_THROWS(f.store({.bytes = 18}).list());
  // A file that claims far more than there is room for, without taking it.
  KJ_SYSCALL(truncate((f.root / "system/1.0.0/build.prop").c_str(), off_t(1) << 40));
  CHECK_THROWS(f.store().image());
}

TEST_CASE("depth and length of paths are bounded") {
  Fixture f;
  f.write("app/1.0/a/b/c", "x");
  CHECK(f.listed({.depth = 2}) == "app/1.0 system/1.0.0");
  CHECK(f.refused({.depth = 1}) == "app: app/1.0/a/b lies too deep");
  CHECK(f.listed({.pathBytes = 10}) == "app/1.0 system/1.0.0");
  CHECK(f.refused({.pathBytes = 4}) ==
        "app: app/1.0/a/b/c has too long a path; system: system/1.0.0/build.prop has too long a path");
}

TEST_CASE("the folder stays the one that was opened, whatever its name leads to later") {
  Fixture f;
  auto store = f.store();
  auto moved = fs::path(f.root.string() + ".moved");
  fs::rename(f.root, moved);
  fs::create_directory_symlink("/etc", f.root);
  CHECK(store.list().bundles.size() == 1);
  fs::remove(f.root);
  fs::rename(moved, f.root);
}

}  // namespace
}  // namespace nexus
