#include "daemons/dsoftbusd/trust/paired-peers.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/base/utc.h"

namespace nexus {

namespace {

constexpr auto HEADING = "nexus-net paired peers 1"_kj;
constexpr auto HEADING_WITH_PREVIOUS = "nexus-net paired peers 2"_kj;
constexpr auto PREVIOUS = "previous"_kj;
constexpr size_t PREVIOUS_WORDS = 4;

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

kj::Maybe<PublicIdentity> parseIdentity(kj::StringPtr deviceId, kj::StringPtr keyText) {
  auto key = tryParseKeyBytes(keyText);
  if (!isDeviceId(deviceId) || key == nullptr) return nullptr;
  if (toHex(KJ_ASSERT_NONNULL(key)) != keyText) return nullptr;  // only as it is written
  return PublicIdentity{kj::str(deviceId), KJ_ASSERT_NONNULL(key)};
}

kj::Maybe<SocketAddress> parseHost(kj::StringPtr text) {
  auto address = SocketAddress::tryParse(text);
  KJ_IF_MAYBE (a, address) {
    if (kj::str(*a) == text && isPeerAddress(*a)) return *a;
  }
  return nullptr;
}

kj::Vector<kj::String> words(kj::StringPtr line) {
  kj::Vector<kj::String> words;
  auto rest = line.asArray();
  for (auto word = takeUntil(rest, ' '); word != nullptr; word = takeUntil(rest, ' ')) {
    words.add(kj::mv(KJ_ASSERT_NONNULL(word)));
  }
  words.add(kj::heapString(rest));
  return words;
}

// "previous DEVICEID STATICKEY UNTIL"
kj::Maybe<PreviousIdentity> parsePrevious(kj::ArrayPtr<const kj::String> words) {
  if (words[0] != PREVIOUS) return nullptr;
  auto until = tryParseUtc(words[3]);
  KJ_IF_MAYBE (identity, parseIdentity(words[1], words[2])) {
    KJ_IF_MAYBE (date, until) {
      return PreviousIdentity{kj::mv(*identity), kj::origin<kj::TimePoint>(), *date};
    }
  }
  return nullptr;
}

kj::Maybe<TrustedPeer> parseLine(kj::StringPtr line, bool mayHavePrevious) {
  auto parts = words(line);
  bool hasPrevious = parts.size() >= 3 + PREVIOUS_WORDS;
  size_t own = parts.size() - (hasPrevious ? PREVIOUS_WORDS : 0);
  if ((own != 3 && own != 4) || (hasPrevious && !mayHavePrevious) || !isPlainPeerName(parts[0])) return nullptr;
  auto identity = parseIdentity(parts[1], parts[2]);
  if (identity == nullptr) return nullptr;
  TrustedPeer peer{kj::mv(parts[0]), kj::mv(KJ_ASSERT_NONNULL(identity))};
  peer.paired = true;
  if (own == 4) {
    peer.address = parseHost(parts[3]);
    if (peer.address == nullptr) return nullptr;
  }
  if (hasPrevious) {
    auto previous = parsePrevious(parts.asPtr().slice(own, parts.size()));
    KJ_IF_MAYBE (p, previous) {
      if (p->identity.deviceId == peer.identity.deviceId) return nullptr;
      peer.previous = kj::mv(*p);
    } else {
      return nullptr;
    }
  }
  return kj::mv(peer);
}

kj::String lineOf(const TrustedPeer& peer) {
  auto address = peer.address.map([](const SocketAddress& a) { return kj::str(' ', a); }).orDefault(kj::String());
  kj::String previous;
  KJ_IF_MAYBE (p, peer.previous) {
    previous = kj::str(' ', PREVIOUS, ' ', p->identity.deviceId, ' ', toHex(p->identity.staticKey), ' ',
                       utcSecondsText(p->untilUtc));
  }
  return kj::str(peer.name, ' ', peer.identity.deviceId, ' ', toHex(peer.identity.staticKey), address, previous, '\n');
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
  bool anyPrevious = false;
  for (auto& peer : peers) anyPrevious = anyPrevious || peer.previous != nullptr;
  lines.add(kj::str(anyPrevious ? HEADING_WITH_PREVIOUS : HEADING, '\n'));
  for (auto& peer : peers) {
    KJ_REQUIRE(isPlainPeerName(peer.name), "a paired peer has another name than a plain one");
    lines.add(lineOf(peer));
  }
  return kj::strArray(lines, "");
}

kj::OneOf<kj::Array<TrustedPeer>, kj::String> parsePairedPeers(kj::StringPtr text) {
  kj::Vector<TrustedPeer> peers;
  auto rest = text.asArray();
  auto heading = takeUntil(rest, '\n').orDefault(kj::String());
  bool mayHavePrevious = heading == HEADING_WITH_PREVIOUS, hasPrevious = false;
  if (!mayHavePrevious && heading != HEADING) return kj::str("line 1 is not \"", HEADING, "\"");
  for (size_t number = 2; rest.size() > 0; number++) {
    auto line = takeUntil(rest, '\n');
    if (line == nullptr) return kj::str("line ", number, " is cut short");
    auto parsed = parseLine(KJ_ASSERT_NONNULL(line), mayHavePrevious);
    if (parsed == nullptr)
      return kj::str("line ", number,
                     " is not \"NAME DEVICEID STATICKEY\", with or without an address and a previous key");
    auto& peer = KJ_ASSERT_NONNULL(parsed);
    for (auto& other : peers) {
      if (other.name == peer.name) return kj::str("line ", number, ": there is another peer of that name");
      if (shareDevice(other, peer)) return kj::str("line ", number, ": that device is there twice");
    }
    if (peers.size() >= MAX_PAIRED_PEERS) return kj::str("more than ", MAX_PAIRED_PEERS, " peers");
    hasPrevious = hasPrevious || peer.previous != nullptr;
    peers.add(kj::mv(peer));
  }
  if (mayHavePrevious && !hasPrevious) return kj::str("line 1 speaks of previous keys, and no line has one");
  return peers.releaseAsArray();
}

}  // namespace nexus
