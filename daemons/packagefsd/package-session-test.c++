#include "daemons/packagefsd/package-session.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sys/stat.h>

#include "libs/nexus-net-os/testing/temporary-store.h"

namespace nexus {
namespace {

using pk::Status;
constexpr kj::StringPtr BUILD_PROP = "pkg:/system/1.0.0/build.prop"_kj;

struct Fixture {
  TemporaryStore store;
  PackageFiles files{store.root.c_str()};
  PackageSession session{files};

  pk::StatReply stat(kj::StringPtr path) {
    return KJ_ASSERT_NONNULL(pk::decodeStatReply(session.handle(KJ_ASSERT_NONNULL(pk::tryEncodeStat(path))).frame));
  }
  pk::OpenReply open(kj::StringPtr path) {
    return KJ_ASSERT_NONNULL(pk::decodeOpenReply(session.handle(KJ_ASSERT_NONNULL(pk::tryEncodeOpen(path))).frame));
  }
  Status read(uint32_t handle, uint32_t offset, uint16_t length, kj::String& out) {
    auto answer = session.handle(KJ_ASSERT_NONNULL(pk::tryEncodeRead(handle, offset, length)));
    auto reply = KJ_ASSERT_NONNULL(pk::decodeReadReply(answer.frame));
    out = kj::heapString(reply.data.asChars());
    return reply.status;
  }
  Status read(uint32_t handle) {
    kj::String ignored;
    return read(handle, 0, 1, ignored);
  }
  Status close(uint32_t handle) {
    return KJ_ASSERT_NONNULL(pk::decodeCloseReply(session.handle(pk::encodeClose(handle)).frame));
  }
};

TEST_CASE("build.prop is told about, opened, read whole and closed, under both prefixes") {
  Fixture f;
  for (auto path : {BUILD_PROP, "/packages/system/1.0.0/build.prop"_kj}) {
    auto info = f.stat(path);
    CHECK(info.status == Status::OK);
    CHECK(info.size == 19);
    CHECK(info.kind == pk::KIND_FILE);
    auto opened = f.open(path);
    REQUIRE(opened.status == Status::OK);
    kj::String data;
    CHECK(f.read(opened.handle, 0, 128, data) == Status::OK);
    CHECK(data == "ro.nexus.build=dev\n");
    CHECK(f.read(opened.handle, 3, 5, data) == Status::OK);
    CHECK(data == "nexus");
    CHECK(f.close(opened.handle) == Status::OK);
  }
}

TEST_CASE("what is not there is NOT_FOUND, an unknown handle BADF") {
  Fixture f;
  for (auto path : {"pkg:/system/1.0.0/none"_kj, "pkg:/none"_kj, "pkg:/system/1.0.0/build.prop/x"_kj,
                    "pkg:/system/1.0.0/.hidden"_kj, "pkg:/system/1.0.0/a b"_kj}) {
    CAPTURE(path.cStr());
    CHECK(f.stat(path).status == Status::NOT_FOUND);
    CHECK(f.open(path).status == Status::NOT_FOUND);
  }
  for (uint32_t handle : {0u, 1u, 99u, ~0u}) {
    CHECK(f.read(handle) == Status::BADF);
    CHECK(f.close(handle) == Status::BADF);
  }
}

TEST_CASE("a path that climbs, of another scheme or too long is refused by its own status") {
  Fixture f;
  CHECK(f.stat("pkg:/../etc/passwd").status == Status::PATH_TRAVERSAL);
  CHECK(f.open("/packages/system/../../x").status == Status::PATH_TRAVERSAL);
  CHECK(f.open("/etc/passwd").status == Status::NON_PACKAGEFS_SCHEME);
  CHECK(f.open("pkg:/").status == Status::OVERSIZED);
  kj::byte tooMuch[] = {'P', 'K', 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 129, 0};
  CHECK(f.session.handle(tooMuch).status == Status::OVERSIZED);
}

TEST_CASE("handles that come round skip 0, which is none") {
  Fixture f;
  auto frame = KJ_ASSERT_NONNULL(pk::tryEncodeOpen(BUILD_PROP));
  PackageSession session(f.files, UINT32_MAX - 1);
  auto open = [&] { return KJ_ASSERT_NONNULL(pk::decodeOpenReply(session.handle(frame).frame)).handle; };
  CHECK(open() == UINT32_MAX);
  CHECK(open() == 1);
}

TEST_CASE("the ninth open is LIMIT, a close makes room, a second close is BADF") {
  Fixture f;
  uint32_t first = 0;
  for (size_t i = 0; i < pk::MAX_OPEN_HANDLES; i++) {
    auto opened = f.open(BUILD_PROP);
    REQUIRE(opened.status == Status::OK);
    CHECK(opened.handle == i + 1);
    if (i == 0) first = opened.handle;
  }
  CHECK(f.open(BUILD_PROP).status == Status::LIMIT);
  CHECK(f.stat(BUILD_PROP).status == Status::OK);
  CHECK(f.close(first) == Status::OK);
  CHECK(f.close(first) == Status::BADF);
  CHECK(f.read(first) == Status::BADF);
  auto again = f.open(BUILD_PROP);
  CHECK(again.status == Status::OK);
  CHECK(again.handle == 9);
  CHECK(f.session.openHandles() == pk::MAX_OPEN_HANDLES);
}

TEST_CASE("a handle of one session is nothing to another") {
  Fixture f;
  auto mine = f.open(BUILD_PROP);
  PackageSession other(f.files);
  auto answer = other.handle(KJ_ASSERT_NONNULL(pk::tryEncodeRead(mine.handle, 0, 1)));
  CHECK(answer.status == Status::BADF);
  CHECK(other.handle(pk::encodeClose(mine.handle)).status == Status::BADF);
  CHECK(f.read(mine.handle) == Status::OK);
}

TEST_CASE("a read at and past the end is OK with nothing") {
  Fixture f;
  auto handle = f.open(BUILD_PROP).handle;
  kj::String data;
  CHECK(f.read(handle, 18, 128, data) == Status::OK);
  CHECK(data == "\n");
  for (uint32_t offset : {19u, 20u, ~0u}) {
    CHECK(f.read(handle, offset, 128, data) == Status::OK);
    CHECK(data == "");
  }
}

TEST_CASE("what is read is the file as it was when it was opened") {
  Fixture f;
  auto handle = f.open(BUILD_PROP).handle;
  f.store.write("system/1.0.0/build.prop", "changed");
  kj::String data;
  CHECK(f.read(handle, 0, 128, data) == Status::OK);
  CHECK(data == "ro.nexus.build=dev\n");
}

TEST_CASE("a folder has its kind and no size, and cannot be opened") {
  Fixture f;
  auto info = f.stat("pkg:/system/1.0.0");
  CHECK(info.status == Status::OK);
  CHECK(info.kind == pk::KIND_FOLDER);
  CHECK(info.size == 0);
  CHECK(f.open("pkg:/system").status == Status::BAD_REQUEST);
}

TEST_CASE("a file of 16384 bytes is opened, a larger one is OVERSIZED and still told about") {
  Fixture f;
  f.store.writeZeros("app/1/fits", pk::MAX_FILE_BYTES);
  f.store.writeZeros("app/1/large", pk::MAX_FILE_BYTES + 1);
  CHECK(f.open("pkg:/app/1/fits").status == Status::OK);
  CHECK(f.open("pkg:/app/1/large").status == Status::OVERSIZED);
  CHECK(f.stat("pkg:/app/1/large").size == pk::MAX_FILE_BYTES + 1);
}

TEST_CASE("a link is not followed, as a file or as a folder, and a pipe is not waited for") {
  Fixture f;
  std::filesystem::create_symlink("/etc/passwd", f.store.root / "system/1.0.0/passwd");
  std::filesystem::create_symlink("/etc", f.store.root / "etc");
  REQUIRE(mkfifo((f.store.root / "system/1.0.0/pipe").c_str(), 0600) == 0);
  for (auto path : {"pkg:/system/1.0.0/passwd"_kj, "pkg:/etc/passwd"_kj, "pkg:/etc"_kj, "pkg:/system/1.0.0/pipe"_kj}) {
    CAPTURE(path.cStr());
    CHECK(f.stat(path).status == Status::NOT_FOUND);
    CHECK(f.open(path).status == Status::NOT_FOUND);
  }
}

TEST_CASE("a frame that is none is answered with 5 bytes") {
  Fixture f;
  auto answer = f.session.handle("bad"_kj.asBytes());
  CHECK(answer.status == Status::BAD_REQUEST);
  CHECK(answer.frame.size() == pk::FAULT_REPLY_BYTES);
}

}  // namespace
}  // namespace nexus
