#pragma once
// Which stream sends next. Eight queues of stream ids, one for each priority; a stream is in its queue at most once.
// Queue 0 goes first, but after MUX_HIGH_PRIORITY_BURST of its turns in a row one turn goes to a lower queue if any has
// work; queues 1 to 7 take their turns in a circle. Owned by the mux core; knows only ids.
#include <kj/common.h>

#include <deque>

#include "daemons/dsoftbusd/mux/mux-frame.h"

namespace nexus {

constexpr kj::uint MUX_HIGH_PRIORITY_BURST = 8;

class MuxScheduler {
 public:
  // At the end of its queue. Nothing if it is in it.
  void add(MuxStreamId stream, kj::byte priority);

  // Nothing if it is not in its queue.
  void remove(MuxStreamId stream, kj::byte priority);

  // Takes out the stream whose turn it is; null when none waits.
  kj::Maybe<MuxStreamId> next();

  bool contains(MuxStreamId stream, kj::byte priority) const;
  size_t size() const;

 private:
  std::deque<MuxStreamId> queues[MUX_PRIORITIES];
  kj::uint burst = 0;   // turns of queue 0 in a row, as far as they count
  kj::uint cursor = 0;  // of the lower queues: 0 is queue 1

  kj::Maybe<MuxStreamId> nextLower();
};

}  // namespace nexus
