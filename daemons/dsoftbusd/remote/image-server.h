#pragma once
// Sends this node's bundle image to peers, each over a stream that was admitted for it: announces its size and hash,
// then writes chunk by chunk as the peer reads. Few at once: MAX_AT_ONCE in all, one for a peer; one more is told that
// the node is busy. How much memory they hold is image-source's affair. Owned by dsoftbusd, shared by all sessions.
// Knows nothing of policy and records.
#include <kj/async-io.h>
#include <kj/map.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/remote/call-status.h"
#include "daemons/dsoftbusd/remote/image-source.h"

namespace nexus {

class ImageServer {
 public:
  static constexpr kj::uint MAX_AT_ONCE = 4;
  static constexpr size_t CHUNK_BYTES = 32768;              // of one write
  static constexpr kj::Duration STALL = 10 * kj::SECONDS;   // for the peer to take a chunk
  static constexpr kj::Duration WHOLE = 120 * kj::SECONDS;  // for everything

  // `get` gives the capability over the present connection.
  ImageServer(kj::Timer& timer, kj::Function<idl::Bundlemgr::Client()> get)
      : timer(timer), images(timer, kj::mv(get)) {}
  KJ_DISALLOW_COPY_AND_MOVE(ImageServer);

  // Sends, ends the stream, and says what became of it: OK; RATE_LIMITED when the peer was told that the node is busy;
  // BACKEND_FAILED; TIMED_OUT when the peer read too slowly; CANCELLED when the stream was lost. Never fails. Dropping
  // the promise ends the transfer.
  kj::Promise<CallStatus> serve(kj::StringPtr peer, kj::Own<kj::AsyncIoStream> stream);

  kj::uint transfersNow() const { return serving.size(); }
  size_t imagesNow() const { return images.imagesNow(); }  // held for them

 private:
  class Place;
  kj::Timer& timer;
  ImageSource images;
  kj::HashSet<kj::String> serving;  // peers

  kj::Promise<CallStatus> send(kj::AsyncIoStream& stream);
};

}  // namespace nexus
