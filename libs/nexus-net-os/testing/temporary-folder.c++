#include "libs/nexus-net-os/testing/temporary-folder.h"

#include <kj/debug.h>
#include <stdlib.h>
#include <sys/un.h>

#include <fstream>
#include <sstream>

namespace nexus {

namespace {

constexpr kj::StringPtr PATTERN = "/t.XXXXXX"_kj;
constexpr size_t SOCKET_NAME = 1 + 32;  // with its slash

std::filesystem::path makeFolder(TemporaryFolder::For use) {
  const char* given = getenv("TEST_TMPDIR");
  kj::StringPtr parent = given == nullptr ? "/tmp" : given;
  bool tooLong = parent.size() + PATTERN.size() + SOCKET_NAME >= sizeof(sockaddr_un::sun_path);
  if (use == TemporaryFolder::For::SOCKETS && tooLong) parent = "/tmp"_kj;
  auto folder = kj::str(parent, PATTERN);
  KJ_REQUIRE(mkdtemp(folder.begin()) != nullptr, "cannot make a folder for this test", folder);
  return folder.cStr();
}

}  // namespace

TemporaryFolder::TemporaryFolder(For use) : root(makeFolder(use)) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // whatever could not be removed is no failure of what was tested
  std::filesystem::remove_all(root, ignored);
}

kj::String TemporaryFolder::file(kj::StringPtr name) const {
  return kj::str(path(), '/', name);
}

kj::String TemporaryFolder::write(kj::StringPtr name, kj::StringPtr content) const {
  auto full = root / name.cStr();
  std::filesystem::create_directories(full.parent_path());
  std::ofstream out(full, std::ios::binary);
  out.write(content.begin(), content.size());
  out.close();
  KJ_REQUIRE(out.good(), "cannot write a test's file", full.c_str());
  return kj::str(full.c_str());
}

std::string TemporaryFolder::text(kj::StringPtr name) const {
  std::ifstream in(root / name.cStr(), std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return in ? all.str() : "(none)";
}

}  // namespace nexus
