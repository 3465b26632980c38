// Every kind of message of rpc.capnp, in every state of a question, at both ends: which may pass and which rule is
// named. Both ends keep the same rules, so each message is given to a serving end that reads it and to a calling end
// that would write it, or the other way round.
#include "daemons/dsoftbusd/schema-rpc/rpc-rules.h"

#include <capnp/capability.h>
#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <string.h>

namespace nexus {
namespace {

using capnp::rpc::Call;
using capnp::rpc::Message;
using capnp::rpc::Return;

constexpr auto FINE = "fine"_kj;
constexpr auto NO_CAPABILITIES = "a capability table is not empty: only data crosses between nodes"_kj;

capnp::Capability::Client somebody() {
  return KJ_EXCEPTION(FAILED, "nobody");
}

// The same conversation as seen by its two ends.
struct Conversation {
  RpcRules calling, serving;
  explicit Conversation(kj::uint maxQuestions = 8)
      : calling(RpcEnd::CALLING, maxQuestions), serving(RpcEnd::SERVING, maxQuestions) {}

  template <typename Fill>
  kj::String fromCaller(Fill&& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>());
    auto reader = message.getRoot<Message>().asReader();
    return same(calling.checkOutgoing(reader), serving.checkIncoming(reader));
  }
  template <typename Fill>
  kj::String fromCallee(Fill&& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>());
    auto reader = message.getRoot<Message>().asReader();
    return same(serving.checkOutgoing(reader), calling.checkIncoming(reader));
  }
  static kj::String same(kj::Maybe<kj::String> one, kj::Maybe<kj::String> other) {
    auto a = kj::mv(one).orDefault(kj::str(FINE)), b = kj::mv(other).orDefault(kj::str(FINE));
    CHECK(a == b);
    return a;
  }

  kj::String bootstrap(uint32_t id) {
    return fromCaller([&](Message::Builder m) { m.initBootstrap().setQuestionId(id); });
  }
  template <typename Fill>
  kj::String call(uint32_t id, Fill&& fill) {
    return fromCaller([&](Message::Builder m) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().setImportedCap(0);
      call.initParams();
      fill(call);
    });
  }
  kj::String call(uint32_t id) {
    return call(id, [](Call::Builder) {});
  }
  kj::String callOnAnswer(uint32_t id, uint32_t answer, bool field = false) {
    return call(id, [&](Call::Builder call) {
      auto target = call.getTarget().initPromisedAnswer();
      target.setQuestionId(answer);
      if (field) target.initTransform(1)[0].setGetPointerField(0);
    });
  }
  kj::String finish(uint32_t id) {
    return fromCaller([&](Message::Builder m) { m.initFinish().setQuestionId(id); });
  }
  template <typename Fill>
  kj::String answer(uint32_t id, Fill&& fill) {
    return fromCallee([&](Message::Builder m) {
      auto answer = m.initReturn();
      answer.setAnswerId(id);
      fill(answer);
    });
  }
  kj::String results(uint32_t id, bool noFinishNeeded = false) {
    return answer(id, [&](Return::Builder r) {
      r.initResults();
      r.setNoFinishNeeded(noFinishNeeded);
    });
  }
  kj::String service(uint32_t id) {
    return answer(id, [&](Return::Builder r) {
      capnp::BuilderCapabilityTable table;
      table.imbue(r.initResults().getContent()).setAs<capnp::Capability>(somebody());
      r.getResults().initCapTable(1)[0].setSenderHosted(0);
    });
  }
  size_t open() {
    CHECK(calling.openQuestions() == serving.openQuestions());
    return serving.openQuestions();
  }
};

TEST_CASE("calls are counted apart from bootstraps: those that are open, and all that passed") {
  Conversation c;
  auto counts = [&](size_t open, uint64_t passed) {
    CHECK(c.calling.openCalls() == open);
    CHECK(c.serving.openCalls() == open);
    CHECK(c.calling.callsPassed() == passed);
    CHECK(c.serving.callsPassed() == passed);
  };
  CHECK(c.bootstrap(0) == FINE);
  counts(0, 0);
  CHECK(c.call(1) == FINE);
  CHECK(c.call(2) == FINE);
  CHECK(c.call(2) != FINE);
  counts(2, 2);
  CHECK(c.service(0) == FINE);
  CHECK(c.finish(0) == FINE);
  counts(2, 2);
  CHECK(c.results(1, true) == FINE);
  CHECK(c.finish(2) == FINE);
  counts(1, 2);
  CHECK(c.results(2) == FINE);
  counts(0, 2);
}

TEST_CASE("bootstrap, call, answer, finish: the whole of an honest conversation") {
  Conversation c;
  CHECK(c.bootstrap(0) == FINE);
  CHECK(c.callOnAnswer(1, 0) == FINE);  // before the answer to Bootstrap
  CHECK(c.service(0) == FINE);
  CHECK(c.callOnAnswer(2, 0) == FINE);  // and after it
  CHECK(c.results(1) == FINE);
  CHECK(c.finish(1) == FINE);
  CHECK(c.finish(2) == FINE);  // given up
  CHECK(c.open() == 2);        // still to be answered
  CHECK(c.answer(2, [](Return::Builder r) { r.setCanceled(); }) == FINE);
  CHECK(c.finish(0) == FINE);
  CHECK(c.open() == 0);
  CHECK(c.call(0) == FINE);  // the number is free again
}

// A message that passes in no state, by name, and what it is called when it is refused.
struct Kind {
  kj::StringPtr name;
  void (*fill)(Message::Builder);
  kj::StringPtr caller, callee;
};

const Kind KINDS[] = {
    {"Unimplemented", [](Message::Builder m) { m.initUnimplemented().initCall(); }, "message type 0 ", FINE},
    {"Abort", [](Message::Builder m) { m.initAbort().setReason("x"); }, FINE, FINE},
    {"Call of the service by the callee", [](Message::Builder m) { m.initCall().initTarget().setImportedCap(0); }, FINE,
     "message type 2 "},
    {"Return", [](Message::Builder m) { m.initReturn().initResults(); }, "message type 3 ", "Return to a question"},
    {"Finish", [](Message::Builder m) { m.initFinish().setQuestionId(99); }, FINE, "message type 4 "},
    {"Resolve", [](Message::Builder m) { m.initResolve().initCap().setSenderHosted(1); }, "message type 5 ",
     "message type 5 "},
    {"Release", [](Message::Builder m) { m.initRelease().setId(0); }, FINE, "message type 6 "},
    {"obsolete Save", [](Message::Builder m) { m.initObsoleteSave(); }, "message type 7 ", "message type 7 "},
    {"Bootstrap", [](Message::Builder m) { m.initBootstrap().setQuestionId(77); }, FINE, "message type 8 "},
    {"obsolete Delete", [](Message::Builder m) { m.initObsoleteDelete(); }, "message type 9 ", "message type 9 "},
    {"Provide", [](Message::Builder m) { m.initProvide().initTarget().setImportedCap(0); }, "message type 10 ",
     "message type 10 "},
    {"Accept", [](Message::Builder m) { m.initAccept(); }, "message type 11 ", "message type 11 "},
    {"Join", [](Message::Builder m) { m.initJoin().initTarget().setImportedCap(0); }, "message type 12 ",
     "message type 12 "},
    {"Disembargo", [](Message::Builder m) { m.initDisembargo().initContext().setSenderLoopback(1); },
     "message type 13 ", "message type 13 "},
};

TEST_CASE("every kind of message, from either side: before anything, with a question open, and after it") {
  for (auto& kind : KINDS) {
    for (int state = 0; state < 4; state++) {
      CAPTURE(kind.name.cStr());
      CAPTURE(state);
      auto arrange = [&](Conversation& c) {
        if (state >= 1) CHECK(c.bootstrap(5) == FINE);
        if (state >= 2) CHECK(c.service(5) == FINE);
        if (state >= 3) CHECK(c.finish(5) == FINE);
      };
      Conversation one, other;
      arrange(one);
      CHECK(one.fromCaller(kind.fill).startsWith(kind.caller));
      arrange(other);
      CHECK(other.fromCallee(kind.fill).startsWith(kind.callee));
    }
  }
}

TEST_CASE("a message of a kind that nobody knows does not pass in either direction") {
  alignas(8) uint16_t data[4] = {200, 0, 0, 0};
  capnp::MallocMessageBuilder message;
  auto raw = message.initRoot<capnp::AnyPointer>().initAsAnyStruct(1, 1);
  memcpy(raw.getDataSection().begin(), data, 8);
  auto reader = message.getRoot<capnp::AnyPointer>().asReader().getAs<Message>();
  RpcRules rules(RpcEnd::SERVING, 8);
  CHECK(rules.checkIncoming(reader).orDefault(nullptr).startsWith("message type 200 "));
  CHECK(rules.checkOutgoing(reader).orDefault(nullptr).startsWith("message type 200 "));
}

TEST_CASE("an exception of a kind that nobody knows does not pass: whoever prints it would read beyond a table") {
  auto unknown = capnp::rpc::Exception::Type(4);
  Conversation c;
  for (auto known : {capnp::rpc::Exception::Type::FAILED, capnp::rpc::Exception::Type::UNIMPLEMENTED}) {
    CHECK(c.fromCaller([&](Message::Builder m) { m.initAbort().setType(known); }) == FINE);
  }
  auto broken = "an exception of an unknown kind"_kj;
  CHECK(c.fromCaller([&](Message::Builder m) { m.initAbort().setType(unknown); }) == broken);
  CHECK(c.fromCallee([&](Message::Builder m) { m.initAbort().setType(unknown); }) == broken);
  CHECK(c.call(1) == FINE);
  CHECK(c.answer(1, [&](Return::Builder r) { r.initException().setType(unknown); }) == broken);
  CHECK(c.answer(1, [&](Return::Builder r) { r.initException().setType(capnp::rpc::Exception::Type::OVERLOADED); }) ==
        FINE);
}

TEST_CASE("a bootstrap that names an object does not pass") {
  Conversation c;
  CHECK(c.fromCaller([](Message::Builder m) { m.initBootstrap().getDeprecatedObjectId().initAsAnyStruct(0, 0); }) ==
        "Bootstrap names an object");
  CHECK(c.open() == 0);
}

TEST_CASE("a call passes with an empty table, to the caller, on the service or on the answer to Bootstrap alone") {
  Conversation c;
  CHECK(c.bootstrap(0) == FINE);
  CHECK(c.call(1) == FINE);
  CHECK(c.call(9, [](Call::Builder call) { call.getParams().initCapTable(1); }) == NO_CAPABILITIES);
  for (int kind = 0; kind < 2; kind++) {
    CHECK(c.call(9, [&](Call::Builder call) {
      if (kind == 0) call.getSendResultsTo().setYourself();
      if (kind == 1) call.getSendResultsTo().initThirdParty();
    }) == "Call sends its results elsewhere than to the caller");
  }
  CHECK(c.call(9, [](Call::Builder call) { call.setOnlyPromisePipeline(true); }) == "Call wants no answer");
  auto onResult = "Call on the result of a call: results hold no capabilities"_kj;
  CHECK(c.callOnAnswer(9, 1) == onResult);        // of a call
  CHECK(c.callOnAnswer(9, 0, true) == onResult);  // a field of the service
  CHECK(c.callOnAnswer(9, 7) == onResult);        // of nothing
  CHECK(c.callOnAnswer(9, 9) == onResult);        // of itself
  CHECK(c.finish(0) == FINE);
  CHECK(c.callOnAnswer(9, 0) == onResult);  // of a bootstrap that was finished
  CHECK(c.open() == 2);                     // nothing that was refused was counted
}

TEST_CASE("an answer passes once, to a question that is open, with an empty table") {
  Conversation c;
  CHECK(c.results(1) == "Return to a question that is not open");
  CHECK(c.call(1) == FINE);
  CHECK(c.service(1) == NO_CAPABILITIES);
  CHECK(c.answer(1, [](Return::Builder r) { r.setTakeFromOtherQuestion(0); }) == "Return refers to results elsewhere");
  CHECK(c.answer(1, [](Return::Builder r) { r.setResultsSentElsewhere(); }) == "Return refers to results elsewhere");
  CHECK(c.answer(1, [](Return::Builder r) { r.initAcceptFromThirdParty(); }) == "Return refers to results elsewhere");
  CHECK(c.results(1) == FINE);
  CHECK(c.results(1) == "a question is answered twice");
  CHECK(c.finish(1) == FINE);
  CHECK(c.results(1) == "Return to a question that is not open");
}

TEST_CASE("the answer to Bootstrap is one capability that its sender hosts, or an exception, and nothing else") {
  using Table = capnp::rpc::CapDescriptor::Builder;
  void (*const descriptors[])(Table) = {
      [](Table entry) { entry.setNone(); },
      [](Table entry) { entry.setSenderPromise(0); },
      [](Table entry) { entry.setReceiverHosted(0); },
      [](Table entry) { entry.initReceiverAnswer(); },
      [](Table entry) { entry.initThirdPartyHosted(); },
  };
  for (auto fill : descriptors) {
    Conversation c;
    CHECK(c.bootstrap(0) == FINE);
    CHECK(c.answer(0, [&](Return::Builder r) {
      capnp::BuilderCapabilityTable table;
      table.imbue(r.initResults().getContent()).setAs<capnp::Capability>(somebody());
      fill(r.getResults().initCapTable(1)[0]);
    }) == NO_CAPABILITIES);
  }
  Conversation c;
  CHECK(c.bootstrap(0) == FINE);
  CHECK(c.results(0) == NO_CAPABILITIES);  // data
  CHECK(c.answer(0, [&](Return::Builder r) {
    r.initResults().getContent().initAsAnyStruct(0, 0);
    r.getResults().initCapTable(1)[0].setSenderHosted(0);
  }) == NO_CAPABILITIES);  // a table beside data
  CHECK(c.answer(0, [&](Return::Builder r) {
    capnp::BuilderCapabilityTable table;
    table.imbue(r.initResults().getContent()).setAs<capnp::Capability>(somebody());
    auto entries = r.getResults().initCapTable(2);
    entries[0].setSenderHosted(0);
    entries[1].setSenderHosted(1);
  }) == NO_CAPABILITIES);  // one more
  CHECK(c.answer(0, [](Return::Builder r) { r.initException().setReason("x"); }) == FINE);
}

TEST_CASE("an answer that needs no finish closes its question, and a finish that crossed it does nothing") {
  Conversation c;
  CHECK(c.call(1) == FINE);
  CHECK(c.results(1, true) == FINE);
  CHECK(c.open() == 0);
  CHECK(c.finish(1) == FINE);
  CHECK(c.open() == 0);
}

TEST_CASE("a question id is used once at a time and finished once") {
  Conversation c;
  CHECK(c.bootstrap(3) == FINE);
  CHECK(c.bootstrap(3) == "a question id is in use");
  CHECK(c.call(3) == "a question id is in use");
  CHECK(c.finish(3) == FINE);
  CHECK(c.finish(3) == "a question is finished twice");
  CHECK(c.call(3) == "a question id is in use");  // it may still be answered
  CHECK(c.service(3) == FINE);
  CHECK(c.call(3) == FINE);
}

TEST_CASE("at the bound of open questions one more does not pass, of either kind; one that is closed makes room") {
  Conversation c(3);
  CHECK(c.bootstrap(0) == FINE);
  CHECK(c.call(1) == FINE);
  CHECK(c.call(2) == FINE);
  CHECK(c.call(3) == "more than 3 questions are open");
  CHECK(c.bootstrap(3) == "more than 3 questions are open");
  CHECK(c.finish(1) == FINE);
  CHECK(c.call(3) == "more than 3 questions are open");  // not answered yet
  CHECK(c.results(1) == FINE);
  CHECK(c.call(3) == FINE);
}

}  // namespace
}  // namespace nexus
