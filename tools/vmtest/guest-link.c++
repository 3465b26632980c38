#include "tools/vmtest/guest-link.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <linux/filter.h>
#include <sys/socket.h>

namespace nexus::vmtest {

GuestLink::GuestLink() : ends(datagramPair()) {}

kj::AutoCloseFd GuestLink::openEnd(kj::byte node) {
  int copy;
  KJ_SYSCALL(copy = fcntl(fd(node), F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(copy);
}

void GuestLink::setCut(bool wanted) {
  if (wanted == cut) return;
  cut = wanted;
  // "Return 0": keep no byte of the datagram. To the sender it has been sent.
  sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program = {1, nothing};
  int unused = 0;
  for (kj::byte node = 0; node < 2; node++) {
    if (wanted) {
      KJ_SYSCALL(setsockopt(fd(node), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    } else {
      KJ_SYSCALL(setsockopt(fd(node), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)));
    }
  }
}

}  // namespace nexus::vmtest
