#pragma once
// The trust file on the disk: readable and writable by its owner alone, replaced as a whole by renaming a new one, so
// that a crash leaves the old or the new one. The folder is opened once; afterwards only openat, fsync, renameat and
// unlinkat are called. Owned by main.
#include <kj/io.h>

#include "daemons/dsoftbusd/trust/paired-peers.h"

namespace nexus {

class TrustFile final : public TrustStore {
 public:
  // FAILED with a sentence when the folder is not there, is another user's than root's or ours, or others can write to
  // it.
  explicit TrustFile(kj::StringPtr path);

  // A file that others own or can reach, or that is no regular file, is refused. It is read in whole: at most 256 KiB.
  kj::Array<TrustedPeer> load() override;
  void save(kj::ArrayPtr<const TrustedPeer> peers) override;
  kj::StringPtr describe() const override { return path; }

  // For the sandbox: all that is done later is done in this folder.
  int folderFd() const { return folder; }

 private:
  kj::String path, name, newName;
  kj::AutoCloseFd folder;

  void replaceWith(kj::StringPtr text);
};

}  // namespace nexus
