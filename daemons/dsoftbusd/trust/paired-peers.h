#pragma once
// The text of the trust file: the peers that were paired, one line each. Pure; one parser and one encoder.
//
//   nexus-net paired peers 1
//   NAME DEVICEID STATICKEY              64 hexadecimal digits each
//   NAME DEVICEID STATICKEY ADDRESS      "10.0.0.2:34567": where to dial it when it is not heard
//
// and behind either, of a peer that changes its key, " previous DEVICEID STATICKEY 2026-12-01T00:00:00Z": the key that
// is still accepted until then. The number in the heading is 2 while there is such a line, and 1 while there is none,
// which older daemons read too.
#include <kj/one-of.h>

#include "daemons/dsoftbusd/trust/trust-table.h"

namespace nexus {

constexpr size_t MAX_PAIRED_PEERS = 1024;
constexpr size_t MAX_PEER_NAME = 64;

// 1 to 64 letters, digits, hyphens, underscores or dots: a name that can stand in any file and line.
bool isPlainPeerName(kj::StringPtr name);

kj::String encodePairedPeers(kj::ArrayPtr<const TrustedPeer> peers);

// The peers, or what is wrong and in which line. `until` of a previous identity is not set: only untilUtc is, and
// whoever has the clocks decides. Every byte counts: what was not written by encodePairedPeers() is
// refused, so that a damaged file is noticed and not half believed.
kj::OneOf<kj::Array<TrustedPeer>, kj::String> parsePairedPeers(kj::StringPtr text);

// Where paired peers outlive the daemon.
class TrustStore {
 public:
  virtual ~TrustStore() noexcept(false) = default;

  // FAILED with a sentence when what is stored cannot be read or makes no sense. Empty when nothing was stored yet.
  virtual kj::Array<TrustedPeer> load() = 0;

  // All of them, in place of what was stored; on the disk when this returns. FAILED, with the old ones kept, if not.
  virtual void save(kj::ArrayPtr<const TrustedPeer> peers) = 0;

  // For people: the path.
  virtual kj::StringPtr describe() const = 0;
};

}  // namespace nexus
