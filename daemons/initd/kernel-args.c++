#include "daemons/initd/kernel-args.h"

#include <kj/vector.h>

namespace nexus {

namespace {

constexpr kj::StringPtr PREFIX = "nexus."_kj;
constexpr size_t NAME_MAX_SIZE = 32;

// The name becomes part of a path, so nothing but [a-z0-9_-] and not too much of it.
bool isName(kj::ArrayPtr<const char> text) {
  if (text.size() == 0 || text.size() > NAME_MAX_SIZE) return false;
  for (char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
  }
  return true;
}

kj::Maybe<uint32_t> tryNumber(kj::StringPtr text, uint32_t min, uint32_t max) {
  uint64_t value = 0;
  if (text.size() == 0 || text.size() > 9) return nullptr;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + (c - '0');
  }
  if (value < min || value > max) return nullptr;
  return static_cast<uint32_t>(value);
}

kj::Vector<kj::String> words(kj::StringPtr line) {
  kj::Vector<kj::String> result;
  size_t begin = 0;
  for (size_t i = 0; i <= line.size(); i++) {
    if (i < line.size() && line[i] != ' ' && line[i] != '\n' && line[i] != '\t') continue;
    if (i > begin) result.add(kj::heapString(line.begin() + begin, i - begin));
    begin = i + 1;
  }
  return result;
}

kj::Maybe<kj::String> setProbe(KernelArgs& args, kj::StringPtr value) {
  if (value == "0")
    args.dmaProbe = DmaProbe::OFF;
  else if (value == "1")
    args.dmaProbe = DmaProbe::ON;
  else if (value == "unconfined")
    args.dmaProbe = DmaProbe::UNCONFINED;
  else
    return kj::str("0, 1 or unconfined");
  return nullptr;
}

// Sets what `key` names; what may stand there if `value` is not it.
kj::Maybe<kj::String> set(KernelArgs& args, kj::StringPtr key, kj::StringPtr value) {
  auto name = [&](kj::String& target) -> kj::Maybe<kj::String> {
    if (!isName(value)) return kj::str("a name of at most ", NAME_MAX_SIZE, " characters out of a-z 0-9 _ -");
    target = kj::heapString(value);
    return nullptr;
  };
  auto number = [&](uint16_t& target, uint32_t min, uint32_t max) -> kj::Maybe<kj::String> {
    auto parsed = tryNumber(value, min, max);
    KJ_IF_MAYBE (n, parsed) {
      target = *n;
      return nullptr;
    }
    return kj::str("a number from ", min, " to ", max);
  };
  if (key == "profile") return name(args.profile);
  if (key == "node") return name(args.node);
  if (key == "variant") return name(args.variant.emplace());
  if (key == "dns") return number(args.dnsPort, 1, 65535);
  if (key == "tcp") return number(args.tcpPort, 1, 65535);
  if (key == "scale") return number(args.scale, 10, 10000);
  if (key == "dma-probe") return setProbe(args, value);
  if (key == "once") return name(args.once.emplace());
  if (key == "traffic") {
    if (value != "0" && value != "1") return kj::str("0 or 1");
    args.traffic = value == "1";
    return nullptr;
  }
  if (key == "kill") {
    KJ_IF_MAYBE (at, value.findFirst('@')) {
      auto after = tryNumber(value.slice(*at + 1), 0, 600'000);
      KJ_IF_MAYBE (ms, after) {
        if (isName(value.slice(0, *at))) {
          args.kill = KernelArgs::Kill{kj::heapString(value.slice(0, *at)), *ms};
          return nullptr;
        }
      }
    }
    return kj::str("SERVICE@MILLISECONDS, at most 600000");
  }
  return kj::str(
      "one of the known flags: profile node variant dns tcp scale dma-probe kill once "
      "traffic");
}

}  // namespace

kj::OneOf<KernelArgs, KernelArgsError> parseKernelArgs(kj::StringPtr commandLine) {
  KernelArgs args;
  bool probeGiven = false;
  for (auto& word : words(commandLine)) {
    if (!word.startsWith(PREFIX)) continue;
    probeGiven = probeGiven || word.startsWith("nexus.dma-probe=");
    auto equals = word.findFirst('=').orDefault(word.size());
    auto key = kj::heapString(word.slice(PREFIX.size(), equals).begin(), equals - kj::min(PREFIX.size(), equals));
    auto value = equals < word.size() ? word.slice(equals + 1) : ""_kj;
    auto expected = set(args, key, value);
    KJ_IF_MAYBE (what, expected) return KernelArgsError{kj::str("kernel command line: ", word, ": expected ", *what)};
  }
  if (args.profile.size() == 0) return KernelArgsError{kj::str("kernel command line: nexus.profile=NAME is missing")};
  if (args.node.size() == 0) return KernelArgsError{kj::str("kernel command line: nexus.node=NAME is missing")};
  if (!probeGiven && args.profile == "qemu_test") args.dmaProbe = DmaProbe::ON;
  return args;
}

}  // namespace nexus
