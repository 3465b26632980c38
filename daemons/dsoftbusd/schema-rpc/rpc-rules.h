#pragma once
// Which messages of Cap'n Proto's RPC protocol (rpc.capnp) may cross between two nodes: enough to call the methods of
// one object with data and get data back, and nothing that could carry, pass on or redirect a capability. A pure state
// machine over messages; one for each end of a stream. Owned by the guard (rpc-guard.h). Knows nothing of services,
// policy or bytes.
//
//   from the caller   Bootstrap; Call on the bootstrap object, results to the caller; Finish; Release; Abort
//   from the callee   Return with results, an exception or "canceled"; Unimplemented; Abort
//
// The capability table of every payload is empty, but for the one entry of the answer to Bootstrap: the service itself,
// hosted by the callee. Exceptions are of the four kinds that exist. Both ends apply the same rules to what they read
// and to what they write.
#include <capnp/rpc.capnp.h>
#include <kj/map.h>

namespace nexus {

enum class RpcEnd { CALLING, SERVING };

class RpcRules {
 public:
  // maxQuestions: asked and not yet closed by both ends; one more breaks the rules.
  RpcRules(RpcEnd end, kj::uint maxQuestions) : end(end), maxQuestions(maxQuestions) {}
  KJ_DISALLOW_COPY_AND_MOVE(RpcRules);

  using Message = capnp::rpc::Message::Reader;

  // Null when the message may pass, else the rule that it breaks: one clause.
  kj::Maybe<kj::String> checkIncoming(Message message);
  kj::Maybe<kj::String> checkOutgoing(Message message);

  // Questions that one end may still send something about; of those, calls; and all calls that passed so far.
  size_t openQuestions() const { return questions.size(); }
  size_t openCalls() const { return calls; }
  uint64_t callsPassed() const { return passed; }

 private:
  struct Question {
    bool bootstrap = false;
    bool returned = false, finished = false;
  };

  const RpcEnd end;
  const kj::uint maxQuestions;
  kj::HashMap<uint32_t, Question> questions;
  size_t calls = 0;
  uint64_t passed = 0;

  kj::Maybe<kj::String> fromCaller(Message message);
  kj::Maybe<kj::String> fromCallee(Message message);
  kj::Maybe<kj::String> ask(uint32_t id, bool bootstrap);
  kj::Maybe<kj::String> checkCall(capnp::rpc::Call::Reader call);
  kj::Maybe<kj::String> checkReturn(capnp::rpc::Return::Reader answer);
  void closeIfDone(uint32_t id);
};

}  // namespace nexus
