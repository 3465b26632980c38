#pragma once
// What the harness of a single guest offers on the host's loopback (the guest reaches it as 10.0.2.2), and how a
// selftest talks to it. Shared by both ends. Pure: requests, the test pattern and its checksum; no sockets, no time.
//
//   kernel command line of the guest   nexus.dns=PORT (UDP)  nexus.tcp=PORT (TCP)
//   UDP   a DNS query for HOST_PEER_NAME, type A, gets HOST_PEER_ADDRESS; any other name gets NXDOMAIN
//   TCP   one request per connection, first line:
//           echo\n        every further byte comes back, until the client ends its direction
//           sink N\n      the peer reads N bytes, answers "sink N CHECKSUM\n" and ends
//           source N\n    the peer sends N bytes of the pattern and ends
//         any other first line: "error TEXT\n", and the end.
#include <kj/common.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

constexpr kj::StringPtr HOST_PEER_NAME = "peer.nexus.test"_kj;
constexpr kj::byte HOST_PEER_ADDRESS[4] = {192, 0, 2, 53};  // TEST-NET-1, RFC 5737

// As the guest sees the host through QEMU's user network.
constexpr kj::StringPtr HOST_PEER_GATEWAY = "10.0.2.2"_kj;

constexpr size_t HOST_PEER_LINE_MAX = 64;               // bytes of the first line, its LF included
constexpr uint64_t HOST_PEER_BYTES_MAX = 256ull << 20;  // N

struct HostPeerEcho {};
struct HostPeerSink {
  uint64_t bytes;
};
struct HostPeerSource {
  uint64_t bytes;
};
using HostPeerRequest = kj::OneOf<HostPeerEcho, HostPeerSink, HostPeerSource>;

kj::String encodeHostPeerRequest(const HostPeerRequest& request);     // with its LF
kj::Maybe<HostPeerRequest> parseHostPeerRequest(kj::StringPtr line);  // without

// Bytes [offset, offset + out.size()) of the pattern. Every 8 bytes depend on their place, so loss, repetition and
// reordering show.
void fillHostPeerPattern(uint64_t offset, kj::ArrayPtr<kj::byte> out);

// FNV-1a, 64 bits: against accidents, not against an adversary.
class HostPeerChecksum {
 public:
  void add(kj::ArrayPtr<const kj::byte> bytes);
  uint64_t value() const { return state; }

 private:
  uint64_t state = 14695981039346656037ull;
};

// The answer to sink: "sink N 0123456789abcdef", without its LF.
kj::String hostPeerSinkAnswer(uint64_t bytes, uint64_t checksum);

// Checksum of the first `bytes` bytes of the pattern: what a right answer to sink carries when the pattern was sent.
uint64_t hostPeerPatternChecksum(uint64_t bytes);

}  // namespace nexus
