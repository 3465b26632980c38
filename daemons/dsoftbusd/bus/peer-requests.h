#pragma once
// What one peer asks of this node, inside its session: calls and streams, given to the remote proxy or, for calls by
// schema, to the exporter. Owned by a peer link, which says who the peer is at that moment. Decides nothing itself.
#include <kj/function.h>

#include "daemons/dsoftbusd/bus/link-context.h"

namespace nexus {

class PeerRequests final : public RequestHandler {
 public:
  // caller: asked for each request. context outlives this.
  PeerRequests(LinkContext& context, kj::Function<RemoteCaller()> caller) : context(context), caller(kj::mv(caller)) {}
  KJ_DISALLOW_COPY_AND_MOVE(PeerRequests);

  // Asks the policy again about the streams that the peer has open; resets those that it does not allow any more. How
  // many.
  size_t recheck(Session& session);

  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char> service, kj::ArrayPtr<const kj::byte> frame) override;
  MuxAdmission admitStream(kj::StringPtr name) override;
  kj::Promise<void> serveStream(kj::Own<MuxStream> stream) override;

 private:
  LinkContext& context;
  kj::Function<RemoteCaller()> caller;

  kj::Maybe<RpcExporter&> exporterFor(kj::StringPtr streamName) const;
};

}  // namespace nexus
