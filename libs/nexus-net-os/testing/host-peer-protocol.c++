#include "libs/nexus-net-os/testing/host-peer-protocol.h"

#include <kj/debug.h>

namespace nexus {

namespace {

// SplitMix64: a bijection, so no two words of the pattern are equal.
uint64_t patternWord(uint64_t index) {
  uint64_t z = index * 0x9e3779b97f4a7c15ull + 0x6e657875732d6e65ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

kj::Maybe<uint64_t> parseCount(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > 9) return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + uint64_t(c - '0');
  }
  if (value > HOST_PEER_BYTES_MAX) return nullptr;
  return value;
}

}  // namespace

kj::String encodeHostPeerRequest(const HostPeerRequest& request) {
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(echo, HostPeerEcho) return kj::str("echo\n");
    KJ_CASE_ONEOF(sink, HostPeerSink) return kj::str("sink ", sink.bytes, '\n');
    KJ_CASE_ONEOF(source, HostPeerSource) return kj::str("source ", source.bytes, '\n');
  }
  KJ_UNREACHABLE;
}

kj::Maybe<HostPeerRequest> parseHostPeerRequest(kj::StringPtr line) {
  if (line == "echo") return HostPeerRequest(HostPeerEcho());
  if (line.startsWith("sink ")) {
    KJ_IF_MAYBE (bytes, parseCount(line.slice(5))) return HostPeerRequest(HostPeerSink{*bytes});
  }
  if (line.startsWith("source ")) {
    KJ_IF_MAYBE (bytes, parseCount(line.slice(7))) return HostPeerRequest(HostPeerSource{*bytes});
  }
  return nullptr;
}

void fillHostPeerPattern(uint64_t offset, kj::ArrayPtr<kj::byte> out) {
  uint64_t index = ~0ull, word = 0;
  for (kj::byte& b : out) {
    if (offset / 8 != index) {
      index = offset / 8;
      word = patternWord(index);
    }
    b = kj::byte(word >> (offset % 8 * 8));
    offset++;
  }
}

void HostPeerChecksum::add(kj::ArrayPtr<const kj::byte> bytes) {
  for (kj::byte b : bytes) state = (state ^ b) * 1099511628211ull;
}

kj::String hostPeerSinkAnswer(uint64_t bytes, uint64_t checksum) {
  auto text = kj::heapString(16);
  for (kj::uint i = 0; i < 16; i++) text[i] = "0123456789abcdef"[(checksum >> (60 - 4 * i)) & 15];
  return kj::str("sink ", bytes, ' ', text);
}

uint64_t hostPeerPatternChecksum(uint64_t bytes) {
  HostPeerChecksum checksum;
  kj::byte buffer[4096];
  for (uint64_t offset = 0; offset < bytes;) {
    size_t n = size_t(kj::min(bytes - offset, uint64_t(sizeof(buffer))));
    fillHostPeerPattern(offset, kj::arrayPtr(buffer, n));
    checksum.add(kj::arrayPtr(buffer, n));
    offset += n;
  }
  return checksum.value();
}

}  // namespace nexus
