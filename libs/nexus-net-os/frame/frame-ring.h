#pragma once
// One of the two shared rings, its producing and its consuming end. What is read from the memory is copied once,
// checked, and only then given on; the other side may write there at any time. Owned by the two sides of an attachment.
// Knows nothing of who holds which buffer, of doorbells or of mappings.
//
// The two fences. Producer: the descriptors must be visible before the index that announces them (release), and that
// index before the look at `consumerSleeps` (seq_cst). Consumer: `consumerSleeps` must be visible before the last look
// at the index (seq_cst), and the index is read before the descriptors (acquire). So either the consumer sees the work
// or the producer sees the sleeper; no wake-up is lost.
#include <kj/common.h>
#include <kj/string.h>

#include "libs/nexus-net-os/frame/buffer-pool.h"
#include "libs/nexus-net-os/frame/frame-meta.h"
#include "libs/nexus-net-os/frame/ring-layout.h"

namespace nexus {

enum class RingDirection : uint8_t { TO_STACK, TO_DRIVER };

// One descriptor after the check, in our own memory.
struct RingEntry {
  ring::Kind kind;
  bool more = false;  // the frame goes on in the next entry
  FrameSegment segment;
  FrameMeta meta;
};

// The longest frame in segments, in either direction: 64 KiB in buffers of 2048 bytes and a little more. A longer one
// is an error.
constexpr size_t MAX_RING_SEGMENTS = 40;

// The ring memfd as a whole.

// Writes the control page. `memory` is zeroed and of ringMemorySize(geometry.ringEntries()) bytes.
void writeRingControl(kj::ArrayPtr<kj::byte> memory, const BufferGeometry& geometry);

// Reads the geometry out of the control page, checked against the size of `memory`. FAILED when anything in it is
// wrong.
BufferGeometry readRingControl(kj::ArrayPtr<kj::byte> memory);

class RingProducer {
 public:
  RingProducer(kj::ArrayPtr<kj::byte> memory, RingDirection direction, const BufferGeometry& geometry);

  // Writes one descriptor; the other side does not see it yet. There is always room (ring-layout.h).
  void push(const RingEntry& entry);

  // Makes everything pushed so far visible. Does not look whether the consumer sleeps.
  void publish();

  // Makes everything visible; true when the consumer sleeps: ring its doorbell, once.
  bool publishAndWake();

 private:
  ring::RingHeader& header;
  kj::ArrayPtr<ring::RingDescriptor> entries;
  uint32_t produced = 0;  // ours; the shared index is never read back
};

class RingConsumer {
 public:
  RingConsumer(kj::ArrayPtr<kj::byte> memory, RingDirection direction, const BufferGeometry& geometry);

  enum class Take : uint8_t { EMPTY, TAKEN, BAD };

  // The next entry, if the producer has announced one. BAD, for good: the producer wrote something that no honest side
  // writes; see fault().
  Take take(RingEntry& out);

  // Whether an entry is announced that claims to be of that kind. A hint: only take() checks, and the producer may have
  // changed it by then.
  bool nextIs(ring::Kind kind);

  // What was wrong; empty while nothing was. Static lifetime.
  kj::StringPtr fault() const { return reason; }

  // Announces that we are about to wait. False when there is work after all: do it instead.
  bool prepareSleep();

  // To be called after every wait.
  void awake();

 private:
  ring::RingHeader& header;
  kj::ArrayPtr<ring::RingDescriptor> entries;
  RingDirection direction;
  BufferGeometry geometry;
  uint32_t consumed = 0;
  uint32_t announced = 0;  // the last checked copy of the producer's index
  kj::StringPtr reason;

  Take bad(kj::StringPtr why);
  bool hasNext();
};

// What is wrong with the metadata of a frame of `length` bytes, or null. Both sides check what they got before they use
// it.
kj::Maybe<kj::StringPtr> findMetaFault(const FrameMeta& meta, size_t length);

}  // namespace nexus
