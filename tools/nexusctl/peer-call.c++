#include "tools/nexusctl/peer-call.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/remote/call-status.h"
#include "tools/nexusctl/session-refusal.h"

namespace nexus::ctl {

namespace {

constexpr kj::Duration PAUSE = 250 * kj::MILLISECONDS;  // a dozen calls' worth of the default rate

}  // namespace

kj::Promise<kj::OneOf<idl::PeerSession::Client, Report>> openPeer(Context& context, kj::StringPtr peer) {
  auto name = kj::str(peer);
  auto bus = openBus(context);
  KJ_IF_MAYBE (closed, bus.tryGet<Report>()) co_return kj::mv(*closed);
  auto request = bus.get<idl::DSoftBus::Client>().sessionRequest();
  request.setPeer(name);
  auto response = co_await request.send();
  auto refused = sessionRefusal(response.getOutcome(), name);
  KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
  co_return response.getSession();
}

Report explainedFailure(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy, uint64_t auditId) {
  auto report = failure(exit, sentence, remedy);
  if (auditId == 0) return report;
  auto error = errorJson(exit, sentence, remedy);
  error.set("auditId", auditId);
  report.json = document("nexus.error/1");
  report.json.set("error", kj::mv(error));
  return report;
}

kj::String whyThere(uint64_t auditId) {
  if (auditId == 0) return kj::String();
  return kj::str("There, see why: nexusctl policy explain --audit ", auditId, ".");
}

kj::Maybe<Report> callRefusal(idl::CallStatus status, uint64_t auditId, const PeerService& at,
                              kj::StringPtr operation) {
  auto quoted = kj::str('"', at.peer, '"');
  auto call = kj::str(operation, " of ", at.service);
  auto explained = [&](Exit exit, kj::String sentence) {
    return explainedFailure(exit, sentence, whyThere(auditId), auditId);
  };
  switch (status) {
    case idl::CallStatus::OK:
      return nullptr;
    case idl::CallStatus::DENIED:
      return explained(Exit::DENIED, kj::str(quoted, " does not let this node call ", call, "."));
    case idl::CallStatus::UNAUTHENTICATED:
      return explained(Exit::DENIED, kj::str(quoted, " does not trust this node any more."));
    case idl::CallStatus::RATE_LIMITED:
      return explainedFailure(Exit::OTHER, kj::str(quoted, " takes no more calls of this node just now."),
                              "Its ratePerSecond and rateBurst bound them; try again later.", auditId);
    case idl::CallStatus::BACKEND_FAILED:
      return explained(Exit::OTHER, kj::str(quoted, " allowed it, but ", at.service, " there failed or is not there."));
    case idl::CallStatus::TIMED_OUT:
      return explained(Exit::TIMED_OUT, kj::str(quoted, " allowed it, but ", at.service, " there did not answer."));
    case idl::CallStatus::REPLY_OVERSIZED:
      return explained(Exit::OTHER, kj::str("The answer to ", call, " is longer than ", quoted, " may send."));
    case idl::CallStatus::OVERSIZED:
      return explained(Exit::USAGE, kj::str("The request is longer than 256 bytes, the most that goes to a peer."));
    case idl::CallStatus::MALFORMED:
      return explained(Exit::UNSUPPORTED, kj::str(quoted, " does not know ", call, " as this nexusctl asks for it."));
    case idl::CallStatus::CANCELLED:
    case idl::CallStatus::REFUSED:
      break;  // of audit records only
  }
  return failure(Exit::UNSUPPORTED, "The daemon answered with a status that this nexusctl does not know.");
}

kj::Promise<kj::OneOf<CallAnswer, Report>> callService(PeerService& at, kj::StringPtr operation,
                                                       kj::Array<kj::byte> frame) {
  auto name = kj::str(operation);
  for (;;) {
    auto request = at.session.callRequest();
    request.setService(at.service);
    request.setFrame(frame);
    auto response = co_await request.send();
    bool tooSoon = response.getStatus() == idl::CallStatus::RATE_LIMITED;
    if (tooSoon && at.patience != nullptr) {
      co_await KJ_ASSERT_NONNULL(at.patience).afterDelay(PAUSE);
      continue;
    }
    auto refused = callRefusal(response.getStatus(), response.getAuditId(), at, name);
    KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
    co_return CallAnswer{kj::heapArray<kj::byte>(response.getReply()), response.getAuditId()};
  }
}

Report notAnAnswer(const PeerService& at) {
  return failure(Exit::OTHER, kj::str("What \"", at.peer, "\" answered is no answer of ", at.service, "."),
                 "It may be another version, or not what it says it is.");
}

kj::Maybe<Report> streamRefusal(idl::PeerSession::StreamOutcome outcome, uint64_t auditId, kj::StringPtr peer,
                                kj::StringPtr denied) {
  using Outcome = idl::PeerSession::StreamOutcome;
  switch (outcome) {
    case Outcome::OK:
      return nullptr;
    case Outcome::DENIED:
      return explainedFailure(Exit::DENIED, denied, whyThere(auditId), auditId);
    case Outcome::TOO_MANY_STREAMS:
      return failure(Exit::OTHER, kj::str("The session with \"", peer, "\" has no room for another stream."),
                     kj::str("See which are open: nexusctl bus streams ", peer, "; or try again later."));
    case Outcome::DUPLICATE_NAME:
    case Outcome::NOT_ACCEPTED:
    case Outcome::RESET:
    case Outcome::NOT_TRUSTED:
      return failure(Exit::OTHER, kj::str("\"", peer, "\" gave the stream up at once."), "Try again.");
  }
  return failure(Exit::UNSUPPORTED, "The daemon answered with an outcome that this nexusctl does not know.");
}

}  // namespace nexus::ctl
