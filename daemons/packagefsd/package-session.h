#pragma once
// One client's view of the package files: PK v1 frames in, replies out, and the files it has open. A handle means
// something in its own session only. A file is copied when it is opened, so that what is read is one state of it:
// at most 8 files of at most 16 KiB in a session. Owned by the capability of the session; ends with it.
#include <kj/map.h>

#include "daemons/packagefsd/package-files.h"

namespace nexus {

class PackageSession {
 public:
  // lastHandle: the first one is the next after it.
  explicit PackageSession(const PackageFiles& files, uint32_t lastHandle = 0) : files(files), lastHandle(lastHandle) {}
  KJ_DISALLOW_COPY_AND_MOVE(PackageSession);

  struct Answer {
    pk::Status status;
    kj::Array<kj::byte> frame;
  };
  // The answer to one frame of this session's client, which is known to be who it is.
  Answer handle(kj::ArrayPtr<const kj::byte> frame);

  size_t openHandles() const { return open.size(); }

 private:
  const PackageFiles& files;
  kj::HashMap<uint32_t, kj::Array<kj::byte>> open;
  uint32_t lastHandle;

  Answer stat(const pk::Stat& request);
  Answer openFile(const pk::Open& request);
  Answer read(const pk::Read& request);
  Answer close(const pk::Close& request);
  uint32_t unusedHandle();
};

}  // namespace nexus
