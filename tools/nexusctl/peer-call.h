#pragma once
// What the commands share that use a service of a peer: the session with the peer, one call through it, and the words
// for every way in which either is refused. A refusal of the peer has the id of its audit record there, in JSON too.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

// The session with that peer, waiting while it is being made; or what to tell the user.
kj::Promise<kj::OneOf<idl::PeerSession::Client, Report>> openPeer(Context& context, kj::StringPtr peer);

// A service of a peer, and the session through which it is asked.
struct PeerService {
  idl::PeerSession::Client session;
  kj::String peer;
  kj::String service;  // "statefsd"

  // Not null: calls that the peer refuses for their rate are repeated, until the command's time is over.
  kj::Maybe<kj::Timer&> patience = nullptr;
};

struct CallAnswer {
  kj::Array<kj::byte> reply;
  uint64_t auditId;  // of the record at the peer
};

// Sends one frame to the service; its answer, or what to tell the user. operation: as in a rule, for these words.
kj::Promise<kj::OneOf<CallAnswer, Report>> callService(PeerService& service, kj::StringPtr operation,
                                                       kj::Array<kj::byte> frame);

// Why the peer refused or failed a call; null: it did not.
kj::Maybe<Report> callRefusal(idl::CallStatus status, uint64_t auditId, const PeerService& service,
                              kj::StringPtr operation);

// The answer is no frame that this service gives.
Report notAnAnswer(const PeerService& service);

// A failure with the audit record that explains it, at the node that refused; without one if the id is 0.
Report explainedFailure(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy, uint64_t auditId);

// "There, see why: nexusctl policy explain --audit 7."; empty for 0.
kj::String whyThere(uint64_t auditId);

// What a stream of the peer that was not to be had means to the user; null: it was. denied: the sentence for that case.
kj::Maybe<Report> streamRefusal(idl::PeerSession::StreamOutcome outcome, uint64_t auditId, kj::StringPtr peer,
                                kj::StringPtr denied);

}  // namespace nexus::ctl
