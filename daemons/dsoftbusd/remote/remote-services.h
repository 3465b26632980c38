#pragma once
// The services that a remote node may name, and what each of their operations is called: the vocabulary of the policy
// table. Frames are read by libs/oslite-frames, nowhere else. Pure. Knows nothing of who asks.
#include <kj/array.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/remote/reply-verdict.h"

namespace nexus {

struct RemoteService {
  kj::StringPtr name;

  // The only operations that a rule may allow: they answer with data and hand out no capability. Every other one is
  // denied whatever the table says.
  kj::ArrayPtr<const kj::StringPtr> offered;

  // The operation of a whole request frame; null when it does not parse as a request of this service.
  kj::Maybe<kj::StringPtr> (*operationOf)(kj::ArrayPtr<const kj::byte> frame);

  // The reply by which this node itself refuses a request that a rule allows, because it asks for more than any other
  // node may have of the service; null: it is forwarded.
  kj::Maybe<kj::Array<kj::byte>> (*refusal)(kj::ArrayPtr<const kj::byte> frame);

  // What the bytes are that the service answered to that forwarded request.
  ReplyVerdict (*judgeReply)(kj::ArrayPtr<const kj::byte> request, kj::ArrayPtr<const kj::byte> reply);

  // A log line of the service's own about a change that was asked for; verdict null: refused by refusal(). Null: none.
  // Never holds a payload or a key.
  kj::Maybe<kj::String> (*auditLine)(kj::ArrayPtr<const kj::byte> request, kj::Maybe<ReplyVerdict> verdict);

  // Of these, the operations that are done over a stream, because no frame has room for them.
  kj::ArrayPtr<const kj::StringPtr> streamed;

  // The import of dsoftbusd behind it, if a node may do without; then calls that a rule allows are answered as backend
  // failed. Empty: every node has it.
  kj::StringPtr optionalImport;

  bool offers(kj::StringPtr operation) const;
};

kj::ArrayPtr<const RemoteService> remoteServices();

// A stream that a peer opens for one operation of a service is named "svc:SERVICE/OPERATION", with or without '#' and
// more that tells it from others. A rule for it names service and operation, as for a frame; no program gets it.
constexpr kj::StringPtr SERVICE_STREAM_PREFIX = "svc:"_kj;
struct ServiceStream {
  const RemoteService& service;
  kj::StringPtr operation;
};

// Null when the name is not that of a streamed operation.
kj::Maybe<ServiceStream> findServiceStream(kj::StringPtr streamName);

// Null for a name that is not exactly one of them.
kj::Maybe<const RemoteService&> findRemoteService(kj::ArrayPtr<const char> name);

}  // namespace nexus
