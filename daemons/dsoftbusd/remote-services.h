#pragma once
// The services that a remote node may name, and what each of their operations is called: the vocabulary of the policy
// table. Frames are read by libs/oslite-frames, nowhere else. Pure. Knows nothing of who asks.
#include <kj/array.h>
#include <kj/string.h>

namespace nexus {

struct RemoteService {
  kj::StringPtr name;

  // The only operations that a rule may allow: they answer with data and hand out no capability. Every other one is
  // denied whatever the table says.
  kj::ArrayPtr<const kj::StringPtr> offered;

  // The operation of a whole request frame; null when it does not parse as a request of this service.
  kj::Maybe<kj::StringPtr> (*operationOf)(kj::ArrayPtr<const kj::byte> frame);

  // Whether the bytes are a whole reply to that offered operation, with nothing in it that must stay on this node.
  bool (*isReply)(kj::StringPtr operation, kj::ArrayPtr<const kj::byte> reply);

  bool offers(kj::StringPtr operation) const;
};

kj::ArrayPtr<const RemoteService> remoteServices();

// Null for a name that is not exactly one of them.
kj::Maybe<const RemoteService&> findRemoteService(kj::ArrayPtr<const char> name);

}  // namespace nexus
