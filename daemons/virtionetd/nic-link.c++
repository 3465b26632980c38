#include "daemons/virtionetd/nic-link.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<kj::String> LinkAttachment::whenClosed() {
  for (;;) {
    KJ_IF_MAYBE (r, reason) co_return kj::str(*r);
    co_await closing.wait();
  }
}

void LinkAttachment::close(kj::StringPtr why) {
  link = nullptr;
  live = nullptr;
  if (reason == nullptr) reason = kj::str(why);
  closing.wakeAll();
}

void LinkAttachment::drop() {
  KJ_IF_MAYBE (l, link) l->detached = true;
  KJ_IF_MAYBE (s, live) s->end("the client dropped it");
}

NicLink::NicLink(LinkBackend& backend, kj::UnixEventPort& eventPort, kj::Timer& timer)
    : NicLink(backend, eventPort, timer, Backoff{}) {}

NicLink::NicLink(LinkBackend& backend, kj::UnixEventPort& eventPort, kj::Timer& timer, Backoff backoff)
    : backend(backend), eventPort(eventPort), timer(timer), backoff(backoff) {}

NicLink::~NicLink() noexcept(false) {
  closeSession("the daemon ends");
}

void NicLink::setStatus(const LinkState& state) {
  auto& now = present.state;
  if (now.up == state.up && now.mtu == state.mtu && now.reason == state.reason) return;
  now = state;
  if (++present.generation == 0) present.generation = 1;  // 0 means "knows nothing" in the schema
  statusChanged.wakeAll();
}

kj::Promise<void> NicLink::whenStatusDiffers(uint32_t known) {
  while (present.generation == known) co_await statusChanged.wait();
}

// Opening and closing ----------------------------------------

kj::Promise<void> NicLink::open() {
  auto link = co_await backend.open();
  mac = link.device->macAddress();
  auto& opened = *session.emplace(kj::heap<LinkSession>(kj::mv(link), eventPort, direct));
  direct.reopen();
  setStatus(opened.device().linkState());
}

void NicLink::closeSession(kj::StringPtr reason) {
  KJ_IF_MAYBE (s, session) {
    auto& frames = (*s)->counters();
    totals.frames.received += frames.received;
    totals.frames.receivedBytes += frames.receivedBytes;
    totals.frames.transmitted += frames.transmitted;
    totals.frames.transmittedBytes += frames.transmittedBytes;
    totals.frames.held += frames.held;
  }
  KJ_IF_MAYBE (a, attachment) (*a)->close(reason);
  attachment = nullptr;
  session = nullptr;
}

kj::Promise<void> NicLink::reopen() {
  auto delay = backoff.first;
  while (session == nullptr) {
    // The failure is kept outside the handler, because there is no waiting inside one.
    kj::Maybe<kj::Exception> failure;
    co_await open().catch_([&](kj::Exception&& exception) { failure = kj::mv(exception); });
    KJ_IF_MAYBE (exception, failure) {
      if (exception->getType() == kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(*exception));
      totals.openFailures++;
      KJ_LOG(WARNING, "the device cannot be opened; trying again", backend.name(), exception->getDescription());
      co_await timer.afterDelay(delay);
      delay = kj::min(delay * 2, backoff.most);
    }
  }
}

// Driving ----------------------------------------

kj::Promise<kj::String> NicLink::driveSession() {
  auto& driven = *KJ_ASSERT_NONNULL(session);
  return driven.drive([this, &driven] { setStatus(driven.device().linkState()); })
      .then(
          [this](kj::String reason) {
            if (!detached) totals.attachmentFaults++;
            return reason;
          },
          [this](kj::Exception&& exception) {
            totals.deviceFailures++;
            return kj::str("the device failed: ", exception.getDescription());
          });
}

kj::Promise<void> NicLink::driveLoop() {
  for (;;) {
    co_await reopen();
    auto reason = co_await driveSession();
    KJ_LOG(WARNING, "the link is closed", backend.name(), reason);
    detached = false;
    setStatus({false, present.state.mtu, "the device is being opened again"_kj});
    closeSession(reason);
  }
}

// Attachments ----------------------------------------

kj::Own<LinkAttachment> NicLink::attach() {
  if (attachment != nullptr) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "another attachment lives, and a Nic has one at a time"));
  }
  KJ_IF_MAYBE (s, session) {
    auto result = kj::refcounted<LinkAttachment>(*this, **s);
    attachment = kj::addRef(*result);
    detached = false;
    totals.attachments++;
    direct.close();
    return result;
  }
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the link is away"));
}

NicLink::Counters NicLink::counters() const {
  auto result = totals;
  KJ_IF_MAYBE (s, session) {
    auto& frames = (*s)->counters();
    result.frames.received += frames.received;
    result.frames.receivedBytes += frames.receivedBytes;
    result.frames.transmitted += frames.transmitted;
    result.frames.transmittedBytes += frames.transmittedBytes;
    result.frames.held += frames.held;
  }
  return result;
}

}  // namespace nexus
