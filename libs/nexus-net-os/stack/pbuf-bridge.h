#pragma once
// Turns received frames into pbufs. What lwIP parses is copied once into private memory, because the port's memory may
// be written by another process at any time; the payload of a large TCP segment, which nobody parses, stays where it is
// and is given back to the port when the last reader is done. Owned by LwipStack; the pool of lent pieces is its bound.
//
// In builds with AddressSanitizer nothing is lent: each frame gets heap memory of exactly its size, so that every read
// beyond it is seen.
#include <kj/vector.h>

#include "libs/nexus-net-os/frame/frame-port.h"
#include "libs/nexus-net-os/stack/stack-counters.h"

struct pbuf;

namespace nexus {

class PbufBridge {
 public:
  // Payload shorter than this is cheaper to copy than to lend.
  static constexpr size_t MIN_LENT = 512;
  static constexpr size_t MAX_FRAME = 65535 + 14;

#if __has_feature(address_sanitizer)
  static constexpr bool LENDS = false;
#else
  static constexpr bool LENDS = true;
#endif

  PbufBridge(size_t maxLentPieces, StackCounters& counters);

  // Every pbuf must be gone.
  ~PbufBridge() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PbufBridge);

  // A chain whose first pbuf holds all headers (for TCP with lent payload) or the whole frame, padded to Ethernet's
  // minimum. Moves out the pieces it keeps. Null, and counted, when there is no memory or the frame has less than 14 or
  // more than MAX_FRAME bytes.
  ::pbuf* wrap(kj::ArrayPtr<ReceivedPiece> pieces);

  size_t lent() const { return inUse; }

 private:
  struct Lent;

  StackCounters& counters;
  kj::Array<Lent> pool;
  Lent* firstFree = nullptr;
  size_t inUse = 0;

  ::pbuf* copyWhole(kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<ReceivedPiece> pieces, size_t total);
  ::pbuf* lendPayload(kj::ArrayPtr<const kj::byte> headers, kj::ArrayPtr<ReceivedPiece> pieces, size_t total);
  ::pbuf* lend(kj::ArrayPtr<kj::byte> bytes, ReceivedPiece&& piece);
  static void freeLent(::pbuf* p);
};

}  // namespace nexus
