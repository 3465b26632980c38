#pragma once
// The link between two guests: a pair of Unix datagram sockets, a frame per datagram, without anybody in between. The
// harness can cut it: then every frame is dropped on arrival, and neither QEMU nor guest is told, as when a switch
// fails. Owned by the run.
#include <kj/io.h>

#include "tools/vmtest/qemu-process.h"

namespace nexus::vmtest {

class GuestLink {
 public:
  GuestLink();

  // For the QEMU of that node.
  kj::AutoCloseFd openEnd(kj::byte node);

  // A socket filter on both ends that takes no byte, or none. Idempotent.
  void setCut(bool cut);
  bool isCut() const { return cut; }

 private:
  FdPair ends;
  bool cut = false;

  int fd(kj::byte node) const { return node == 0 ? ends.ours.get() : ends.theirs.get(); }
};

}  // namespace nexus::vmtest
