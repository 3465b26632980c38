#include "daemons/dsoftbusd/schema-rpc/rpc-rules.h"

#include "libs/nexus-net-os/rpc/known-kinds.h"

namespace nexus {

namespace {

using capnp::rpc::Call;
using capnp::rpc::CapDescriptor;
using capnp::rpc::MessageTarget;
using capnp::rpc::Payload;
using Rpc = capnp::rpc::Message;
using capnp::rpc::Return;

constexpr auto UNKNOWN_KIND = "an exception of an unknown kind"_kj;

kj::String noCapabilities() {
  return kj::str("a capability table is not empty: only data crosses between nodes");
}

kj::String notAllowed(capnp::rpc::Message::Which which) {
  return kj::str("message type ", uint16_t(which), " of rpc.capnp: only data crosses between nodes");
}

kj::Maybe<kj::String> checkAbort(capnp::rpc::Exception::Reader exception) {
  if (!isKnownKind(exception)) return kj::str(UNKNOWN_KIND);
  return nullptr;
}

// The answer to Bootstrap: the service, and it stays where it is.
bool isTheService(Payload::Reader payload) {
  auto table = payload.getCapTable();
  return payload.getContent().isCapability() && table.size() == 1 && table[0].which() == CapDescriptor::SENDER_HOSTED;
}

}  // namespace

kj::Maybe<kj::String> RpcRules::checkIncoming(Message message) {
  return end == RpcEnd::SERVING ? fromCaller(message) : fromCallee(message);
}

kj::Maybe<kj::String> RpcRules::checkOutgoing(Message message) {
  return end == RpcEnd::SERVING ? fromCallee(message) : fromCaller(message);
}

// ---- the caller

kj::Maybe<kj::String> RpcRules::fromCaller(Message message) {
  switch (message.which()) {
    case Rpc::ABORT:
      return checkAbort(message.getAbort());
    case Rpc::RELEASE:  // of the service; anything else is unknown to the callee, which then ends the stream
      return nullptr;
    case Rpc::BOOTSTRAP:
      if (message.getBootstrap().hasDeprecatedObjectId()) return kj::str("Bootstrap names an object");
      return ask(message.getBootstrap().getQuestionId(), true);
    case Rpc::CALL:
      return checkCall(message.getCall());
    case Rpc::FINISH: {
      auto id = message.getFinish().getQuestionId();
      KJ_IF_MAYBE (question, questions.find(id)) {
        if (question->finished) return kj::str("a question is finished twice");
        question->finished = true;
        closeIfDone(id);
      }
      return nullptr;  // unknown: the answer said that no Finish is needed, and crossed this one
    }
    default:
      return notAllowed(message.which());
  }
}

kj::Maybe<kj::String> RpcRules::ask(uint32_t id, bool bootstrap) {
  if (questions.find(id) != nullptr) return kj::str("a question id is in use");
  if (questions.size() >= maxQuestions) return kj::str("more than ", maxQuestions, " questions are open");
  questions.insert(id, Question{.bootstrap = bootstrap});
  if (!bootstrap) calls++, passed++;
  return nullptr;
}

kj::Maybe<kj::String> RpcRules::checkCall(Call::Reader call) {
  if (call.getParams().getCapTable().size() > 0) return noCapabilities();
  if (!call.getSendResultsTo().isCaller()) return kj::str("Call sends its results elsewhere than to the caller");
  if (call.getOnlyPromisePipeline()) return kj::str("Call wants no answer");
  auto target = call.getTarget();
  switch (target.which()) {
    case MessageTarget::IMPORTED_CAP:
      break;  // the callee exports nothing but the service
    case MessageTarget::PROMISED_ANSWER: {
      auto answer = target.getPromisedAnswer();
      auto question = questions.find(answer.getQuestionId());
      bool isBootstrap = question.map([](Question& q) { return q.bootstrap && !q.finished; }).orDefault(false);
      if (!isBootstrap || answer.getTransform().size() > 0) {
        return kj::str("Call on the result of a call: results hold no capabilities");
      }
      break;
    }
    default:
      return kj::str("Call on an unknown kind of target");
  }
  return ask(call.getQuestionId(), false);
}

// ---- the callee

kj::Maybe<kj::String> RpcRules::fromCallee(Message message) {
  switch (message.which()) {
    case Rpc::ABORT:
      return checkAbort(message.getAbort());
    case Rpc::UNIMPLEMENTED:
      return nullptr;
    case Rpc::RETURN:
      return checkReturn(message.getReturn());
    default:
      return notAllowed(message.which());
  }
}

kj::Maybe<kj::String> RpcRules::checkReturn(Return::Reader answer) {
  auto id = answer.getAnswerId();
  KJ_IF_MAYBE (question, questions.find(id)) {
    if (question->returned) return kj::str("a question is answered twice");
    switch (answer.which()) {
      case Return::RESULTS: {
        bool fine =
            question->bootstrap ? isTheService(answer.getResults()) : answer.getResults().getCapTable().size() == 0;
        if (!fine) return noCapabilities();
        break;
      }
      case Return::EXCEPTION:
        if (!isKnownKind(answer.getException())) return kj::str(UNKNOWN_KIND);
        break;
      case Return::CANCELED:
        break;
      default:
        return kj::str("Return refers to results elsewhere");
    }
    question->returned = true;
    if (answer.getNoFinishNeeded()) question->finished = true;
    closeIfDone(id);
    return nullptr;
  }
  return kj::str("Return to a question that is not open");
}

void RpcRules::closeIfDone(uint32_t id) {
  KJ_IF_MAYBE (question, questions.find(id)) {
    if (!question->returned || !question->finished) return;
    if (!question->bootstrap) calls--;
    questions.erase(id);
  }
}

}  // namespace nexus
