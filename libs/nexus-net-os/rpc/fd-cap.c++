#include "libs/nexus-net-os/rpc/fd-cap.h"

#include <fcntl.h>
#include <kj/debug.h>

namespace nexus {

namespace {

class FdCapImpl final : public idl::Fd::Server {
 public:
  explicit FdCapImpl(kj::AutoCloseFd fd) : fd(kj::mv(fd)) {}
  kj::Maybe<int> getFd() override { return fd.get(); }

 private:
  kj::AutoCloseFd fd;
};

}  // namespace

idl::Fd::Client newFdCap(kj::AutoCloseFd fd) {
  return kj::heap<FdCapImpl>(kj::mv(fd));
}

kj::Promise<kj::AutoCloseFd> takeFd(idl::Fd::Client cap) {
  auto maybeFd = co_await cap.getFd();
  int duplicate;
  KJ_IF_MAYBE (fd, maybeFd) {
    KJ_SYSCALL(duplicate = fcntl(*fd, F_DUPFD_CLOEXEC, 0));
  } else {
    KJ_FAIL_REQUIRE("the capability carries no file descriptor: it must come over a Unix socket");
  }
  co_return kj::AutoCloseFd(duplicate);
}

}  // namespace nexus
