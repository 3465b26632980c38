#include "daemons/virtionetd/link-session.h"

#include <fcntl.h>
#include <kj/debug.h>

namespace nexus {

namespace {

kj::AutoCloseFd duplicate(int fd) {
  int result;
  KJ_SYSCALL(result = fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(result);
}

}  // namespace

LinkSession::LinkSession(OpenLink opened, kj::UnixEventPort& eventPort, DirectPath& direct)
    : link(kj::mv(opened)),
      direct(direct),
      rings(SharedMemory::create("frame-rings", ring::ringMemorySize(link.buffers->geometry().ringEntries()))),
      toStack(newDoorbell()),
      toDriver(newDoorbell()),
      toDriverBell(eventPort, duplicate(toDriver.listen)),
      loans(*link.device, link.buffers->geometry()) {
  writeRingControl(rings.bytes(), link.buffers->geometry());
  direct.setDevice(loans, *link.buffers);
  loans.flush();
}

LinkSession::~LinkSession() noexcept(false) {
  direct.setDevice(nullptr, nullptr);
}

AttachmentFds LinkSession::attachmentFds() const {
  return {link.buffers->memory().duplicateFd(), rings.duplicateFd(), duplicate(toStack.listen),
          duplicate(toDriver.ring)};
}

void LinkSession::start() {
  KJ_REQUIRE(ringEnd == nullptr, "the attachment has been started already");
  // From here on the client's existing mappings are the only foreign ones, and the memory cannot be taken from under
  // us.
  link.buffers->memory().seal();
  rings.seal();
  ringEnd = kj::heap<RingDriverEnd>(loans, rings.bytes(), Doorbell(duplicate(toStack.ring)), toDriverBell);
  changed.wakeAll();
}

void LinkSession::end(kj::StringPtr reason) {
  if (ended == nullptr) ended = kj::str(reason);
  changed.wakeAll();
}

kj::Promise<kj::String> LinkSession::whenEnded() {
  for (;;) {
    KJ_IF_MAYBE (reason, ended) co_return kj::str(*reason);
    co_await changed.wait();
  }
}

kj::Promise<void> LinkSession::driveDirect(kj::Function<void()>& afterBatch) {
  while (ringEnd == nullptr && ended == nullptr) {
    auto count = loans.poll(direct, RingDriverEnd::BATCH);
    afterBatch();
    if (count == RingDriverEnd::BATCH) {
      co_await kj::evalLast([] {});  // everybody else first
    } else {
      co_await device().whenReady().exclusiveJoin(changed.wait());
    }
  }
}

kj::Promise<kj::String> LinkSession::drive(kj::Function<void()> afterBatch) {
  co_await driveDirect(afterBatch);
  KJ_IF_MAYBE (end, ringEnd) {
    auto fault =
        (*end)->pumpLoop(device(), kj::mv(afterBatch)).then([](kj::StringPtr reason) { return kj::str(reason); });
    co_return co_await fault.exclusiveJoin(whenEnded());
  }
  co_return co_await whenEnded();
}

}  // namespace nexus
