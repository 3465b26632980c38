#include "daemons/dsoftbusd/server/stream-report.h"

#include <kj/debug.h>

namespace nexus {

namespace {

idl::StreamInfo::State stateOf(MuxState state) {
  switch (state) {
    case MuxState::OPEN:
      return idl::StreamInfo::State::OPEN;
    case MuxState::HALF_CLOSED_LOCAL:
      return idl::StreamInfo::State::HALF_CLOSED_LOCAL;
    case MuxState::HALF_CLOSED_REMOTE:
      return idl::StreamInfo::State::HALF_CLOSED_REMOTE;
    case MuxState::CLOSED:
      return idl::StreamInfo::State::CLOSED;
    case MuxState::RESET:
      return idl::StreamInfo::State::RESET;
  }
  KJ_UNREACHABLE;
}

}  // namespace

void reportStreams(const MuxCore& core, idl::DSoftBus::StreamsResults::Builder results) {
  auto list = results.initStreams(core.streamCount());
  size_t at = 0;
  core.forEachStream([&](const MuxStreamCore& stream) {
    auto out = list[at++];
    out.setId(stream.id);
    out.setName(stream.name);
    out.setPriority(stream.priority);
    out.setOpenedHere(stream.opener == MuxStreamCore::Opener::US);
    out.setTaken(stream.isAcknowledged());
    out.setState(stateOf(stream.state()));
    out.setSendCredit(stream.credit());
    out.setReceiveCredit(stream.receiveCredit());
    out.setSendWaiting(stream.sendBuffered() + stream.offered());
    out.setReceiveWaiting(stream.receiveBuffered());
    out.setSent(stream.bytesSent());
    out.setReceived(stream.bytesReceived());
  });
}

}  // namespace nexus
