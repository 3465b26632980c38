#include "daemons/dsoftbusd/resume/stream-registration-server.h"

#include "daemons/dsoftbusd/server/mux-stream-server.h"

namespace nexus {

namespace {

using StreamOutcome = idl::PeerSession::StreamOutcome;

class RegistrationImpl final : public idl::StreamRegistration::Server {
 public:
  RegistrationImpl(kj::Own<StreamRegistration> registration, kj::Own<void> place)
      : place(kj::mv(place)), registration(kj::mv(registration)) {}

  kj::Promise<void> next(NextContext context) override {
    auto next = co_await registration->next();
    auto results = context.getResults();
    KJ_SWITCH_ONEOF(next) {
      KJ_CASE_ONEOF(stream, kj::Own<MuxStream>) {
        results.setIncarnation(registration->incarnation());
        results.setStream(newMuxStreamServer(kj::mv(stream)));
      }
      KJ_CASE_ONEOF(refused, StreamRegistration::Refused) {
        results.setOutcome(streamOutcome(refused.reason));
        results.setAuditId(refused.auditId);
      }
      KJ_CASE_ONEOF(reject, MuxReject) {
        bool taken = reject == MuxReject::DUPLICATE_STREAM_NAME;
        results.setOutcome(taken ? StreamOutcome::DUPLICATE_NAME : StreamOutcome::TOO_MANY_STREAMS);
      }
      KJ_CASE_ONEOF(revoked, StreamRegistration::NotTrusted) {
        results.setOutcome(StreamOutcome::NOT_TRUSTED);
      }
    }
  }

 private:
  kj::Own<void> place;
  kj::Own<StreamRegistration> registration;
};

}  // namespace

idl::StreamRegistration::Client newStreamRegistrationServer(kj::Own<StreamRegistration> registration,
                                                            kj::Own<void> place) {
  return kj::heap<RegistrationImpl>(kj::mv(registration), kj::mv(place));
}

}  // namespace nexus
