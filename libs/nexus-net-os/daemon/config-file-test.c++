#include "libs/nexus-net-os/daemon/config-file.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

kj::String textOf(const ConfigFile& file) {
  auto result = file.read();
  KJ_IF_MAYBE (error, result.tryGet<ConfigError>()) return kj::str("error: ", error->message);
  return kj::mv(result.get<kj::String>());
}

TEST_CASE("the file is read as it is now, also after another was renamed to its place") {
  TemporaryFolder f;
  ConfigFile file(f.write("d.toml", "one"));
  CHECK(textOf(file) == "one");
  f.write("d.toml", "two");
  CHECK(textOf(file) == "two");
  KJ_SYSCALL(rename(f.write("d.toml.new", "three").cStr(), f.file("d.toml").cStr()));
  CHECK(textOf(file) == "three");
}

TEST_CASE("a file that is gone, a folder or a FIFO in its place is an error with its path, and does not hang") {
  TemporaryFolder f;
  ConfigFile file(f.write("d.toml", "one"));
  auto refused = [&](kj::StringPtr why) {
    auto text = textOf(file);
    CAPTURE(text.cStr());
    CHECK(text.startsWith(kj::str("error: ", f.file("d.toml"), ": ")));
    CHECK(text.endsWith(why));
  };
  unlink(f.file("d.toml").cStr());
  refused("No such file or directory");
  KJ_SYSCALL(mkdir(f.file("d.toml").cStr(), 0700));
  refused("is no regular file");
  rmdir(f.file("d.toml").cStr());
  KJ_SYSCALL(mkfifo(f.file("d.toml").cStr(), 0600));
  refused("is no regular file");
}

TEST_CASE("a file of the largest size is read whole, one byte more is refused; a missing folder is FAILED") {
  TemporaryFolder f;
  auto most = kj::heapString(ConfigFile::MAX_BYTES);
  memset(most.begin(), 'x', most.size());
  ConfigFile file(f.write("d.toml", most));
  CHECK(textOf(file).size() == ConfigFile::MAX_BYTES);
  f.write("d.toml", kj::str(most, 'x'));
  CHECK(textOf(file).endsWith("is longer than 1 MiB"));
  CHECK_THROWS(ConfigFile(f.file("missing/d.toml")));
}

}  // namespace
}  // namespace nexus
