#pragma once
// An empty folder for a test, removed with all that is in it when dropped. It lies in the folder that Bazel gives each
// test (TEST_TMPDIR), so that a test that is killed leaves nothing behind either. That path is often longer than the
// 107 bytes of a Unix socket's: a folder in which sockets are bound lies in /tmp when it is.
#include <kj/string.h>

#include <filesystem>
#include <string>

namespace nexus {

class TemporaryFolder {
 public:
  enum class For { FILES, SOCKETS };

  // FAILED when it cannot be made. In a folder for SOCKETS, a name of up to 32 bytes can be bound.
  explicit TemporaryFolder(For use = For::FILES);
  ~TemporaryFolder();
  KJ_DISALLOW_COPY_AND_MOVE(TemporaryFolder);

  const std::filesystem::path root;

  kj::StringPtr path() const { return root.c_str(); }

  // The path of `name` in it, whether it is there or not.
  kj::String file(kj::StringPtr name) const;

  // Makes or rewrites the file `name`, with the folders it lies in; its path.
  kj::String write(kj::StringPtr name, kj::StringPtr content) const;

  // What is in the file; "(none)" when it cannot be read.
  std::string text(kj::StringPtr name) const;
};

}  // namespace nexus
