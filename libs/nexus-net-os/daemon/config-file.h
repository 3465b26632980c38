#pragma once
// The configuration file of a daemon, to be read again while it runs: holds its folder, so that a file which was put in
// its place by renaming is found, and so that a sandbox can let exactly this folder be read. Owned by main. Knows
// nothing of what the text means.
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include "libs/nexus-net-os/daemon/config-loader.h"

namespace nexus {

class ConfigFile {
 public:
  static constexpr size_t MAX_BYTES = 1 << 20;

  // FAILED with a sentence when the folder cannot be opened.
  explicit ConfigFile(kj::StringPtr path);
  KJ_DISALLOW_COPY_AND_MOVE(ConfigFile);

  // The file as it is now; an error when it is gone, no regular file, not to be read, or longer than MAX_BYTES.
  kj::OneOf<kj::String, ConfigError> read() const;

  kj::StringPtr path() const { return filePath; }

  // For the sandbox (SandboxFolders::readable).
  int folderFd() const { return folder; }

 private:
  kj::String filePath, name;
  kj::AutoCloseFd folder;
};

}  // namespace nexus
