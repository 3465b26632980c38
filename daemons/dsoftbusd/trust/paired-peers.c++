#include "daemons/dsoftbusd/trust/paired-peers.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr auto HEADING = "nexus-net paired peers 1"_kj;

// Takes `text` up to the next `end` off its front; null when there is none.
kj::Maybe<kj::String> takeUntil(kj::ArrayPtr<const char>& text, char end) {
  for (size_t i : kj::indices(text)) {
    if (text[i] != end) continue;
    auto part = kj::heapString(text.begin(), i);
    text = text.slice(i + 1, text.size());
    return kj::mv(part);
  }
  return nullptr;
}

bool isPeerAddress(const SocketAddress& address) {
  return !address.address.isAny() && !address.address.isMulticast() && address.port != 0;
}

kj::Maybe<TrustedPeer> parseLine(kj::StringPtr line) {
  auto rest = line.asArray();
  auto name = takeUntil(rest, ' '), deviceId = takeUntil(rest, ' ');
  if (name == nullptr || deviceId == nullptr) return nullptr;
  auto& n = KJ_ASSERT_NONNULL(name);
  auto& id = KJ_ASSERT_NONNULL(deviceId);
  auto untilAddress = takeUntil(rest, ' ');
  auto keyText = kj::str(untilAddress.orDefault(kj::heapString(rest)));
  auto key = tryParseKeyBytes(keyText);
  if (!isPlainPeerName(n) || !isDeviceId(id) || key == nullptr) return nullptr;
  if (toHex(KJ_ASSERT_NONNULL(key)) != keyText) return nullptr;  // only as it is written
  TrustedPeer peer{kj::mv(n), PublicIdentity{kj::mv(id), KJ_ASSERT_NONNULL(key)}};
  peer.paired = true;
  if (untilAddress != nullptr) {
    auto text = kj::heapString(rest);
    peer.address = SocketAddress::tryParse(text);
    bool isHost =
        peer.address.map([&](SocketAddress& a) { return kj::str(a) == text && isPeerAddress(a); }).orDefault(false);
    if (!isHost) return nullptr;
  }
  return kj::mv(peer);
}

}  // namespace

bool isPlainPeerName(kj::StringPtr name) {
  if (name.size() == 0 || name.size() > MAX_PEER_NAME) return false;
  for (char c : name) {
    bool plain =
        ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!plain) return false;
  }
  return true;
}

kj::String encodePairedPeers(kj::ArrayPtr<const TrustedPeer> peers) {
  kj::Vector<kj::String> lines;
  lines.add(kj::str(HEADING, '\n'));
  for (auto& peer : peers) {
    KJ_REQUIRE(isPlainPeerName(peer.name), "a paired peer has another name than a plain one");
    auto address = peer.address.map([](const SocketAddress& a) { return kj::str(' ', a); }).orDefault(kj::String());
    lines.add(kj::str(peer.name, ' ', peer.identity.deviceId, ' ', toHex(peer.identity.staticKey), address, '\n'));
  }
  return kj::strArray(lines, "");
}

kj::OneOf<kj::Array<TrustedPeer>, kj::String> parsePairedPeers(kj::StringPtr text) {
  kj::Vector<TrustedPeer> peers;
  auto rest = text.asArray();
  auto heading = takeUntil(rest, '\n');
  if (heading.map([](kj::String& line) { return line != HEADING; }).orDefault(true)) {
    return kj::str("line 1 is not \"", HEADING, "\"");
  }
  for (size_t number = 2; rest.size() > 0; number++) {
    auto line = takeUntil(rest, '\n');
    if (line == nullptr) return kj::str("line ", number, " is cut short");
    auto parsed = parseLine(KJ_ASSERT_NONNULL(line));
    if (parsed == nullptr)
      return kj::str("line ", number, " is not \"NAME DEVICEID STATICKEY\", with or without an address");
    auto& peer = KJ_ASSERT_NONNULL(parsed);
    for (auto& other : peers) {
      if (other.name == peer.name) return kj::str("line ", number, ": there is another peer of that name");
      if (other.find(peer.identity.deviceId) != nullptr)
        return kj::str("line ", number, ": that device is there twice");
    }
    if (peers.size() >= MAX_PAIRED_PEERS) return kj::str("more than ", MAX_PAIRED_PEERS, " peers");
    peers.add(kj::mv(peer));
  }
  return peers.releaseAsArray();
}

}  // namespace nexus
