#include "daemons/dsoftbusd/remote/package-backend.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/remote/service-backends.h"

namespace nexus {

kj::Promise<kj::Array<kj::byte>> PackageBackend::call(const RemoteCaller& caller, kj::Array<kj::byte> frame) {
  auto peer = kj::str(caller.name);
  auto& session = sessionOf(peer);
  auto number = session.number;
  kj::Maybe<kj::Exception> lost;
  auto asked = callOsLite(session.client, frame)
                   .then([](kj::Array<kj::byte> reply) { return kj::mv(reply); },
                         [&lost](kj::Exception&& exception) -> kj::Array<kj::byte> {
                           lost = kj::mv(exception);
                           return nullptr;
                         });
  auto reply = co_await asked;
  if (lost == nullptr) co_return reply;
  auto& exception = KJ_ASSERT_NONNULL(lost);
  forget(peer, number);
  if (exception.getType() != kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(exception));
  co_return co_await callOsLite(sessionOf(peer).client, frame);
}

void PackageBackend::endSession(kj::StringPtr peer) {
  sessions.erase(peer);
}

PackageBackend::Session& PackageBackend::sessionOf(kj::StringPtr peer) {
  KJ_IF_MAYBE (session, sessions.find(peer)) return *session;
  if (sessions.size() >= MAX_PEERS) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many peers read packages at once", MAX_PEERS));
  }
  auto client = get().newSessionRequest().send().getSession();
  return sessions.insert(kj::str(peer), Session{kj::mv(client), ++made}).value;
}

// A later call may have made another session by now: that one stays.
void PackageBackend::forget(kj::StringPtr peer, uint64_t number) {
  KJ_IF_MAYBE (session, sessions.find(peer)) {
    if (session->number == number) sessions.erase(peer);
  }
}

}  // namespace nexus
