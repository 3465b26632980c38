#pragma once
// The mux steps of the selftest: what two nodes do to each other over the streams of their session, one class for each
// end. Both ends run the same steps in the same order; each method is the body of one step and fails with what was seen
// instead. Owned by Selftest, or by a test. In a machine with two buses one program plays both ends.
//
//   step           initiator                                     responder
//   open           opens CONTROL, priority 0                     accepts it
//   data           content one way, then the other               checks, answers with content of its own
//   priority       a stream of priority 4 is kept full: an echo  answers each echo at once; reads of the stream only
//                  of priority 0 comes back while at least       what it is asked to, between the echoes
//                  BULK_AHEAD bytes lie before it unread,
//                  ECHOES times
//   bulk           BULK_BYTES and the end; compares the hash     reads to the end, hashes, answers with the hash
//   backpressure   writes until the stream takes no more: at the reads nothing, then a little, then nothing, then all
//                  first window of the peer, later within the
//                  largest one; then everything arrives
#include <kj/async.h>
#include <kj/function.h>

#include "idl/dsoftbus.capnp.h"
#include "selftest/mux-pipe.h"

namespace nexus {

class MuxSteps {
 public:
  using GetBus = kj::Function<idl::DSoftBus::Client()>;

  static constexpr kj::StringPtr CONTROL = "selftest/control"_kj;
  static constexpr kj::StringPtr PRIORITY = "selftest/priority"_kj;
  static constexpr kj::StringPtr BULK = "selftest/bulk"_kj;
  static constexpr kj::StringPtr PRESSURE = "selftest/pressure"_kj;

  static constexpr kj::byte CONTROL_PRIORITY = 0, BULK_PRIORITY = 4;
  static constexpr uint64_t DATA_BYTES = 40000;  // more than one DATA frame
  static constexpr kj::uint ECHOES = 8;
  static constexpr uint64_t READ_PER_ECHO = 32768;
  static constexpr uint64_t PRIORITY_BYTES = 5 << 17, BULK_BYTES = 1 << 20, PRESSURE_BYTES = 1 << 19;

  // What a stream takes of a writer ahead of its reader (mux/mux-stream-core.h): the first window; once the reader has
  // taken WARM_UP bytes, the largest window, less what the peer has not yet been told, which is below half of it.
  static constexpr uint64_t FIRST_BOUND = 65536, LARGEST_BOUND = 262144;
  static constexpr uint64_t WARM_UP = 65536 + 131072;
  static constexpr uint64_t BULK_AHEAD = LARGEST_BOUND / 2;

  virtual ~MuxSteps() noexcept(false) = default;

  virtual kj::Promise<void> open() = 0;
  virtual kj::Promise<void> data() = 0;
  virtual kj::Promise<void> priority() = 0;
  virtual kj::Promise<void> bulk() = 0;
  virtual kj::Promise<void> backpressure() = 0;
};

// bus: that of the own node, asked for at open(). peer: the name of the other node.
kj::Own<MuxSteps> newMuxInitiator(MuxSteps::GetBus bus, kj::StringPtr peer);
kj::Own<MuxSteps> newMuxResponder(MuxSteps::GetBus bus, kj::StringPtr peer);

}  // namespace nexus
