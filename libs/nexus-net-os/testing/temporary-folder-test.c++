#include "libs/nexus-net-os/testing/temporary-folder.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/un.h>

#include <string>

namespace nexus {
namespace {

namespace fs = std::filesystem;

TEST_CASE("it lies in the test's own folder, is empty, another one each time, and is gone with all that was in it") {
  fs::path before;
  {
    TemporaryFolder one, two;
    CHECK(one.path().startsWith(getenv("TEST_TMPDIR")));
    CHECK(fs::is_empty(one.root));
    CHECK(one.root != two.root);
    CHECK(one.text("a/b/c") == "(none)");
    CHECK(one.write("a/b/c", "text\0more"_kj) == one.file("a/b/c"));
    CHECK(one.text("a/b/c") == std::string("text\0more", 9));
    before = one.root;
  }
  CHECK_FALSE(fs::exists(before));
}

TEST_CASE("in a folder for sockets a name of 32 bytes can be bound, however long the test's own folder's path is") {
  auto room = [](const TemporaryFolder& f) { return sizeof(sockaddr_un::sun_path) - f.path().size() - 1; };
  std::string given = getenv("TEST_TMPDIR");
  for (size_t length : {20, 62, 64, 65, 66, 90}) {
    CAPTURE(length);
    TemporaryFolder top(TemporaryFolder::For::SOCKETS);
    std::string parent = top.root.string() + "/";
    while (parent.size() < length) parent += 'x';
    fs::create_directories(parent);
    setenv("TEST_TMPDIR", parent.c_str(), 1);
    TemporaryFolder sockets(TemporaryFolder::For::SOCKETS);
    setenv("TEST_TMPDIR", given.c_str(), 1);
    CHECK(room(sockets) >= 32 + 1);  // and its ending zero
    CHECK((sockets.root.string().substr(0, parent.size()) == parent) == (parent.size() <= 65));
  }
}

}  // namespace
}  // namespace nexus
