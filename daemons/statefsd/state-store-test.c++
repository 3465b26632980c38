#include "daemons/statefsd/state-store.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <fstream>

#include "daemons/statefsd/state-record.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using sf::Status;

struct Fixture {
  TemporaryFolder folder;
  kj::Maybe<StateStore> store = StateStore(folder.root.c_str());

  StateStore& get() { return KJ_ASSERT_NONNULL(store); }
  void restart(const StateLimits& limits = {}) {
    store = nullptr;
    store = StateStore(folder.root.c_str(), limits);
  }
  Status put(kj::StringPtr key, kj::StringPtr value) { return get().put(key, value.asBytes()); }
  kj::String value(kj::StringPtr key) {
    auto found = get().get(key);
    if (found.is<Status>()) return kj::str("status ", uint16_t(found.get<Status>()));
    return kj::heapString(found.get<kj::Array<kj::byte>>().asChars());
  }
  kj::String list(kj::StringPtr prefix, size_t limit = 256) { return kj::strArray(get().list(prefix, limit), " "); }
  fs::path fileOf(kj::StringPtr key) { return folder.root / recordName(key).cStr(); }
};

TEST_CASE("a value is got as it was put, also after a restart") {
  Fixture f;
  CHECK(f.put("/state/a", "one") == Status::OK);
  CHECK(f.put("/state/b", "") == Status::OK);
  CHECK(f.value("/state/a") == "one");
  f.restart();
  CHECK(f.value("/state/a") == "one");
  CHECK(f.value("/state/b") == "");
  CHECK(f.list("/state/") == "/state/a /state/b");
}

TEST_CASE("a second put replaces the value, a delete removes it, a second delete is NOT_FOUND") {
  Fixture f;
  CHECK(f.put("/state/a", "one") == Status::OK);
  CHECK(f.put("/state/a", "two") == Status::OK);
  CHECK(f.value("/state/a") == "two");
  CHECK(f.get().keyCount() == 1);
  CHECK(f.get().del("/state/a"_kj) == Status::OK);
  CHECK(f.value("/state/a") == "status 1");
  CHECK(f.get().del("/state/a"_kj) == Status::NOT_FOUND);
  CHECK(f.list("") == "");
  f.restart();
  CHECK(f.value("/state/a") == "status 1");
}

TEST_CASE("a list is ordered, by prefix, and at most as long as asked for") {
  Fixture f;
  for (auto key : {"/state/b"_kj, "/state/shared/2"_kj, "/state/shared/1"_kj, "/state/a"_kj, "/state/sharee"_kj}) {
    CHECK(f.put(key, "x") == Status::OK);
  }
  CHECK(f.list("") == "/state/a /state/b /state/shared/1 /state/shared/2 /state/sharee");
  CHECK(f.list("/state/shared/") == "/state/shared/1 /state/shared/2");
  CHECK(f.list("/state/shared/", 1) == "/state/shared/1");
  CHECK(f.list("/state/z") == "");
}

TEST_CASE("what is no local key is INVALID_KEY or KEY_TOO_LONG, for every operation") {
  Fixture f;
  kj::StringPtr bad[] = {""_kj,
                         "/state/"_kj,
                         "/state"_kj,
                         "a"_kj,
                         "/etc/passwd"_kj,
                         "/state/../a"_kj,
                         "/state/a/.."_kj,
                         "/state/./a"_kj,
                         "/state//a"_kj,
                         "/state/a/"_kj,
                         "/state/a\\b"_kj,
                         kj::StringPtr("/state/\0", 8)};
  for (auto key : bad) {
    CAPTURE(key.cStr());
    CHECK(f.put(key, "x") == Status::INVALID_KEY);
    CHECK(f.get().get(key).get<Status>() == Status::INVALID_KEY);
    CHECK(f.get().del(key) == Status::INVALID_KEY);
  }
  auto longest = kj::str("/state/", kj::repeat('k', 248)), tooLong = kj::str(longest, "k");
  CHECK(f.put(longest, "x") == Status::OK);
  CHECK(f.put(tooLong, "x") == Status::KEY_TOO_LONG);
  CHECK(f.value(longest) == "x");
  CHECK(fs::exists(f.folder.root / recordName(longest).cStr()));
}

TEST_CASE("a value of 65536 bytes is kept, a larger one is VALUE_TOO_LARGE and leaves the old one") {
  Fixture f;
  auto large = kj::heapArray<kj::byte>(65537);
  memset(large.begin(), 'x', large.size());
  CHECK(f.get().put("/state/a"_kj, large.slice(0, 65536)) == Status::OK);
  CHECK(f.get().put("/state/a"_kj, large) == Status::VALUE_TOO_LARGE);
  CHECK(f.value("/state/a").size() == 65536);
}

TEST_CASE("what a crash left half written is removed, and the old value is whole") {
  Fixture f;
  CHECK(f.put("/state/a", "old") == Status::OK);
  std::ofstream(f.folder.root / "new") << "half";
  f.restart();
  CHECK_FALSE(fs::exists(f.folder.root / "new"));
  CHECK(f.value("/state/a") == "old");
  // Also while it runs: a write that failed before does not stop the next.
  std::ofstream(f.folder.root / "new") << "half";
  CHECK(f.put("/state/a", "newer") == Status::OK);
  CHECK(f.value("/state/a") == "newer");
  CHECK_FALSE(fs::exists(f.folder.root / "new"));
}

TEST_CASE("a record that was changed, cut or exchanged is INTEGRITY_VIOLATION, and a put heals it") {
  Fixture f;
  CHECK(f.put("/state/a", "one") == Status::OK);
  CHECK(f.put("/state/b", "two") == Status::OK);
  fs::copy_file(f.fileOf("/state/b"), f.fileOf("/state/a"), fs::copy_options::overwrite_existing);
  CHECK(f.value("/state/a") == "status 9");
  fs::resize_file(f.fileOf("/state/b"), 20);
  CHECK(f.value("/state/b") == "status 9");
  fs::resize_file(f.fileOf("/state/b"), MAX_RECORD_BYTES + 1);
  CHECK(f.value("/state/b") == "status 9");
  f.restart();
  CHECK(f.get().damagedCount() == 2);
  CHECK(f.list("") == "");
  CHECK(f.value("/state/a") == "status 9");
  CHECK(f.put("/state/a", "healed") == Status::OK);
  CHECK(f.value("/state/a") == "healed");
  CHECK(f.get().damagedCount() == 1);
  CHECK(f.get().del("/state/b"_kj) == Status::OK);
  CHECK(f.get().damagedCount() == 0);
}

TEST_CASE("a link in the place of a record is not followed") {
  Fixture f;
  fs::create_symlink("/etc/passwd", f.fileOf("/state/a"));
  CHECK(f.value("/state/a") == "status 1");
  CHECK(f.put("/state/a", "mine") == Status::OK);
  CHECK(fs::is_regular_file(fs::symlink_status(f.fileOf("/state/a"))));
  CHECK(f.value("/state/a") == "mine");
}

TEST_CASE("a key above the bound is IO_ERROR and changes nothing, those that are there can still change") {
  Fixture f;
  f.restart({.keys = 2});
  CHECK(f.put("/state/a", "x") == Status::OK);
  CHECK(f.put("/state/b", "x") == Status::OK);
  CHECK(f.put("/state/c", "x") == Status::IO_ERROR);
  CHECK(f.list("") == "/state/a /state/b");
  CHECK(f.put("/state/a", "y") == Status::OK);
  CHECK(f.get().del("/state/b"_kj) == Status::OK);
  CHECK(f.put("/state/c", "x") == Status::OK);
  f.store = nullptr;
  CHECK_THROWS(StateStore(f.folder.root.c_str(), {.keys = 1}));
}

TEST_CASE("keys that other nodes may write cannot take the room of this node's own") {
  Fixture f;
  f.restart({.keys = 4, .sharedKeys = 2});
  CHECK(f.put("/state/shared/a", "x") == Status::OK);
  CHECK(f.put("/state/shared/b/c", "x") == Status::OK);
  CHECK(f.put("/state/shared/d", "x") == Status::IO_ERROR);
  CHECK(f.put("/state/shared/a", "y") == Status::OK);  // not a further one
  // Neighbours in the order of the keys are none of them.
  CHECK(f.put("/state/shared0", "x") == Status::OK);
  CHECK(f.put("/state/share", "x") == Status::OK);
  CHECK(f.get().del("/state/shared/a"_kj) == Status::OK);
  CHECK(f.put("/state/shared/d", "x") == Status::OK);
  f.restart({.keys = 4, .sharedKeys = 2});
  CHECK(f.put("/state/shared/e", "x") == Status::IO_ERROR);
}

TEST_CASE("a disk that refuses is IO_ERROR, not an exception") {
  Fixture f;
  CHECK(f.put("/state/a", "one") == Status::OK);
  fs::remove_all(f.folder.root);
  CHECK(f.put("/state/a", "two") == Status::IO_ERROR);
  CHECK(f.put("/state/b", "two") == Status::IO_ERROR);
  CHECK(f.value("/state/b") == "status 1");
}

TEST_CASE("a folder is used by one store at a time, and a folder that is missing is told by name") {
  Fixture f;
  CHECK_THROWS(StateStore(f.folder.root.c_str()));
  CHECK_THROWS(StateStore("/nonexistent/state"));
}

TEST_CASE("reopen reads the keys again, sync asks the disk, and strange files are left alone") {
  Fixture f;
  CHECK(f.put("/state/a", "one") == Status::OK);
  fs::remove(f.fileOf("/state/a"));
  std::ofstream(f.folder.root / "README") << "not ours";
  CHECK(f.list("") == "/state/a");
  CHECK(f.get().reopen() == Status::OK);
  CHECK(f.list("") == "");
  CHECK(f.get().sync() == Status::OK);
  CHECK(fs::exists(f.folder.root / "README"));
}

}  // namespace
}  // namespace nexus
