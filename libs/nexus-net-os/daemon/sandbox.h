#pragma once
// Takes from a process what it no longer needs: descriptors it was not handed, the right to gain privileges, and every
// system call that is not on the list of its profile. What is not on the list kills the process (SIGSYS), so that a
// mistake is seen at once and an intruder gets no second try. Owned by nobody; called by a daemon once it holds
// everything it needs. Not reversible, inherited by children. For users: docs/sandbox.md.
#include <kj/common.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

enum class SandboxProfile : uint8_t {
  // virtionetd on a VFIO device, after the handshake: no ioctl, mmap, open, socket or connect. The memory of later
  // allocations comes from brk alone; what must be mapped is mapped before.
  VIRTIONETD_VFIO,

  // virtionetd on a TAP or a stream: maps fresh frame memory for each attachment, connects to Unix sockets, sets up its
  // own TAP again.
  VIRTIONETD_HOST,

  // netstackd, dsoftbusd, samgrd: serve and connect Unix sockets, map what is passed to them, never executable; open
  // nothing.
  STACK,

  // bundlemgrd, packagefsd: STACK, and opens files and folders for reading.
  STORE,

  // statefsd: STORE, and makes new files, renames and removes them, and waits for the disk. Opens nothing that exists
  // for writing.
  STATE_STORE,
};

// Folders that were opened before and whose files are reached through these descriptors alone. A filter sees the
// descriptor and the flags of a call, not the path, which could lead elsewhere; where the kernel has Landlock (5.13 and
// later, if it is switched on), nothing outside of these folders can be opened either way.
struct SandboxFolders {
  kj::ArrayPtr<const int> readable;  // files are opened for reading
  kj::ArrayPtr<const int> writable;  // that, and new files are made, written from their end or their beginning,
                                     // renamed within the folder and removed; no file that exists is opened for writing
};

// Enters `profile` for good, in every thread of the process. FAILED, with the process unchanged but for no_new_privs,
// when the kernel refuses. Descriptors 0 to 2 and all that are open now stay open.
void enterSandbox(SandboxProfile profile, const SandboxFolders& folders = {});

// Closes every descriptor above 2 that is not in `keep`. To be called first thing in main, before anything is opened.
void closeStrayFds(kj::ArrayPtr<const int> keep);

// What the profile is called in logs: "stack".
kj::StringPtr profileName(SandboxProfile profile);

}  // namespace nexus
