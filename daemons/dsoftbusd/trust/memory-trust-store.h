#pragma once
// For tests: a trust store in memory that outlives the daemon, and can refuse to store.
#include <kj/debug.h>

#include "daemons/dsoftbusd/trust/paired-peers.h"

namespace nexus {

class MemoryTrustStore final : public TrustStore {
 public:
  kj::Array<TrustedPeer> load() override {
    auto parsed = parsePairedPeers(text);
    return kj::mv(parsed.get<kj::Array<TrustedPeer>>());
  }
  void save(kj::ArrayPtr<const TrustedPeer> peers) override {
    if (full) kj::throwFatalException(KJ_EXCEPTION(FAILED, "no space left"));
    text = encodePairedPeers(peers);
  }
  kj::StringPtr describe() const override { return "memory"_kj; }

  kj::String text = encodePairedPeers(nullptr);
  bool full = false;
};

}  // namespace nexus
