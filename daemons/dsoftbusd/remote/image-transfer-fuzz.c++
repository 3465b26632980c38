// A peer writes a whole image transfer. The first byte says in pieces of what size it arrives; the verdict may not
// depend on that, nothing beyond the announced size is handed on, and what is whole has the announced hash.
#include <kj/debug.h>

#include "daemons/dsoftbusd/remote/image-transfer.h"

namespace {

struct Outcome {
  kj::Maybe<nexus::ImageFault> fault;
  uint64_t handedOn = 0;
};

Outcome receive(kj::ArrayPtr<const kj::byte> transfer, size_t piece) {
  Outcome outcome;
  nexus::ImageReceiver receiver;
  crypto_hash_sha256_state digest;
  crypto_hash_sha256_init(&digest);
  while (transfer.size() > 0 && outcome.fault == nullptr) {
    auto part = transfer.slice(0, kj::min(piece, transfer.size()));
    outcome.fault = receiver.take(part, [&](kj::ArrayPtr<const kj::byte> bytes) {
      outcome.handedOn += bytes.size();
      crypto_hash_sha256_update(&digest, bytes.begin(), bytes.size());
    });
    transfer = transfer.slice(part.size(), transfer.size());
  }
  if (outcome.fault == nullptr) outcome.fault = receiver.finish();
  KJ_ASSERT(outcome.handedOn == receiver.received());
  KJ_ASSERT(outcome.handedOn == 0 || outcome.handedOn <= receiver.announced());
  KJ_ASSERT(receiver.announced() <= nexus::MAX_IMAGE_BYTES || outcome.fault == nexus::ImageFault::TOO_LARGE);
  if (outcome.fault == nullptr) {
    kj::byte actual[nexus::SHA256_BYTES];
    crypto_hash_sha256_final(&digest, actual);
    KJ_ASSERT(receiver.sha256() == kj::arrayPtr(actual, sizeof(actual)));
    KJ_ASSERT(outcome.handedOn == receiver.announced());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto transfer = kj::arrayPtr(data + 1, size - 1);
  auto inPieces = receive(transfer, size_t(data[0]) + 1);
  auto atOnce = receive(transfer, size);
  KJ_ASSERT(inPieces.fault == atOnce.fault);
  return 0;
}
