#include "libs/nexus-net-os/stack/pbuf-bridge.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/frame-filter.h"
#include "lwip/pbuf.h"

namespace nexus {
namespace {

// Copies from the pieces, starting `skip` bytes in, until `out` is full.
void gather(kj::ArrayPtr<ReceivedPiece> pieces, size_t skip, kj::ArrayPtr<kj::byte> out) {
  for (auto& piece : pieces) {
    auto bytes = piece.bytes();
    size_t start = kj::min(skip, bytes.size());
    skip -= start;
    size_t n = kj::min(bytes.size() - start, out.size());
    memcpy(out.begin(), bytes.begin() + start, n);
    out = out.slice(n, out.size());
  }
}

// A pbuf over a heap buffer of exactly its size, for AddressSanitizer.
struct ExactPbuf {
  pbuf_custom custom;
  kj::byte* memory;

  static void release(pbuf* p) {
    auto* self = reinterpret_cast<ExactPbuf*>(p);
    free(self->memory);
    delete self;
  }

  static pbuf* make(size_t size) {
    auto* self = new ExactPbuf{};
    self->memory = static_cast<kj::byte*>(malloc(size));
    self->custom.custom_free_function = &ExactPbuf::release;
    return pbuf_alloced_custom(PBUF_RAW, size, PBUF_REF, &self->custom, self->memory, size);
  }
};

}  // namespace

struct PbufBridge::Lent {
  pbuf_custom custom;  // first: lwIP hands it back as a pbuf*
  PbufBridge* bridge = nullptr;
  kj::Maybe<ReceivedPiece> piece;
  Lent* nextFree = nullptr;
};

PbufBridge::PbufBridge(size_t maxLentPieces, StackCounters& counters)
    : counters(counters), pool(kj::heapArray<Lent>(LENDS ? maxLentPieces : 0)) {
  for (auto& lent : pool) {
    lent.bridge = this;
    lent.custom.custom_free_function = &PbufBridge::freeLent;
    lent.nextFree = firstFree;
    firstFree = &lent;
  }
}

PbufBridge::~PbufBridge() noexcept(false) {
  KJ_ASSERT(inUse == 0, "received frames are still held", inUse);
}

void PbufBridge::freeLent(pbuf* p) {
  auto* lent = reinterpret_cast<Lent*>(p);
  lent->piece = nullptr;
  lent->nextFree = lent->bridge->firstFree;
  lent->bridge->firstFree = lent;
  --lent->bridge->inUse;
}

pbuf* PbufBridge::wrap(kj::ArrayPtr<ReceivedPiece> pieces) {
  size_t total = 0;
  for (auto& piece : pieces) total += piece.bytes().size();
  if (total < 14) {
    ++counters.rxTruncated;
    return nullptr;
  }
  if (total > MAX_FRAME) {
    ++counters.rxOversized;
    return nullptr;
  }

  // The only read of the headers from memory that others may write.
  kj::byte headBytes[FrameFilter::MIN_HEAD];
  auto head = kj::arrayPtr(headBytes, kj::min(sizeof(headBytes), total));
  gather(pieces, 0, head);
  size_t headers = FrameFilter::tcpHeaderLength(head);
  bool canLend = headers != 0 && total - headers >= MIN_LENT && pool.size() - inUse >= pieces.size();
  pbuf* p = canLend ? lendPayload(head.slice(0, headers), pieces, total) : copyWhole(head, pieces, total);
  if (p == nullptr) {
    ++counters.rxNoBuffer;
    return nullptr;
  }
  ++(canLend ? counters.rxInPlace : counters.rxCopied);
  return p;
}

pbuf* PbufBridge::copyWhole(kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<ReceivedPiece> pieces, size_t total) {
  size_t padded = kj::max(total, FrameFilter::MIN_FRAME);
  if (padded > UINT16_MAX) return nullptr;
  pbuf* p = LENDS ? pbuf_alloc(PBUF_RAW, padded, PBUF_RAM) : ExactPbuf::make(padded);
  if (p == nullptr) return nullptr;
  auto* bytes = static_cast<kj::byte*>(p->payload);
  memcpy(bytes, head.begin(), head.size());
  gather(pieces, head.size(), kj::arrayPtr(bytes + head.size(), total - head.size()));
  memset(bytes + total, 0, padded - total);
  return p;
}

pbuf* PbufBridge::lendPayload(kj::ArrayPtr<const kj::byte> headers, kj::ArrayPtr<ReceivedPiece> pieces, size_t total) {
  if (total > UINT16_MAX) return nullptr;  // tot_len has 16 bits
  pbuf* first = pbuf_alloc(PBUF_RAW, headers.size(), PBUF_RAM);
  if (first == nullptr) return nullptr;
  memcpy(first->payload, headers.begin(), headers.size());
  size_t skip = headers.size();
  for (auto& piece : pieces) {
    auto bytes = piece.bytes();
    size_t start = kj::min(skip, bytes.size());
    skip -= start;
    if (start == bytes.size()) continue;  // nothing but headers
    pbuf_cat(first, lend(bytes.slice(start, bytes.size()), kj::mv(piece)));
  }
  return first;
}

pbuf* PbufBridge::lend(kj::ArrayPtr<kj::byte> bytes, ReceivedPiece&& piece) {
  Lent* lent = firstFree;
  KJ_ASSERT(lent != nullptr);
  firstFree = lent->nextFree;
  ++inUse;
  lent->piece.emplace(kj::mv(piece));
  return pbuf_alloced_custom(PBUF_RAW, bytes.size(), PBUF_REF, &lent->custom, bytes.begin(), bytes.size());
}

}  // namespace nexus
