#include "daemons/dsoftbusd/bus/peer-requests.h"

namespace nexus {

kj::Promise<RemoteReply> PeerRequests::handle(kj::ArrayPtr<const char> service, kj::ArrayPtr<const kj::byte> frame) {
  return context.proxy.handle(caller(), service, frame);
}

MuxAdmission PeerRequests::admitStream(kj::StringPtr name) {
  KJ_IF_MAYBE (exporter, exporterFor(name)) return exporter->mayOpen(caller(), name);
  auto decision = context.proxy.mayOpenStream(caller(), name);
  return {decision.allowed, decision.auditId, decision.served};
}

size_t PeerRequests::recheck(Session& session) {
  return session.mux().recheck([this](kj::StringPtr name) -> MuxAdmission {
    KJ_IF_MAYBE (exporter, exporterFor(name)) return exporter->mayKeep(caller(), name);
    auto decision = context.proxy.mayKeepStream(caller(), name);
    return {decision.allowed, decision.auditId};
  });
}

kj::Promise<void> PeerRequests::serveStream(kj::Own<MuxStream> stream) {
  auto name = kj::str(stream->name());
  KJ_IF_MAYBE (exporter, exporterFor(name)) return exporter->serve(caller(), name, kj::mv(stream));
  return context.proxy.serveStream(caller(), kj::mv(name), kj::mv(stream));
}

kj::Maybe<RpcExporter&> PeerRequests::exporterFor(kj::StringPtr streamName) const {
  if (RpcExporter::isForCalls(streamName)) return context.exporter;
  return nullptr;
}

}  // namespace nexus
