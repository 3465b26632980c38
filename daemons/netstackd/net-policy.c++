#include "daemons/netstackd/net-policy.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus {

namespace {

constexpr uint16_t LAST_PORT = 65535;

// At most five digits, nothing else, and not above `limit`.
kj::Maybe<uint16_t> tryParseNumber(kj::StringPtr text, uint16_t limit) {
  if (text.size() == 0 || text.size() > 5) return nullptr;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) return nullptr;
  auto number = text.parseAs<uint32_t>();
  if (number > limit) return nullptr;
  return uint16_t(number);
}

// "*", "53" or "34567-34568" into the rule.
bool parsePorts(kj::StringPtr text, NetPolicy::Rule& rule) {
  if (text == "*") {
    rule.firstPort = 0, rule.lastPort = LAST_PORT;
    return true;
  }
  auto first = kj::str(text), last = kj::str(text);
  KJ_IF_MAYBE (dash, text.findFirst('-')) {
    first = kj::heapString(text.slice(0, *dash));
    last = kj::heapString(text.slice(*dash + 1));
  }
  auto low = tryParseNumber(first, LAST_PORT), high = tryParseNumber(last, LAST_PORT);
  KJ_IF_MAYBE (l, low) {
    KJ_IF_MAYBE (h, high) {
      rule.firstPort = *l, rule.lastPort = *h;
      return *l <= *h;
    }
  }
  return false;
}

// "*", "10.0.2.2", "10.42.0.0/24", and without their brackets "fd00::1", "fd00::/8".
bool parseNetwork(kj::StringPtr text, NetPolicy::Rule& rule) {
  auto host = kj::str(text);
  kj::Maybe<kj::String> prefix;
  KJ_IF_MAYBE (slash, text.findFirst('/')) {
    host = kj::heapString(text.slice(0, *slash));
    prefix = kj::heapString(text.slice(*slash + 1));
  }
  auto parsed = IpAddress::tryParse(host);
  KJ_IF_MAYBE (address, parsed) {
    kj::byte bits = address->bytes().size() * 8;
    rule.address = *address, rule.prefixLength = bits;
    KJ_IF_MAYBE (p, prefix) {
      if (address->isAny()) return false;
      auto length = tryParseNumber(*p, bits);
      KJ_IF_MAYBE (l, length)
        rule.prefixLength = *l;
      else
        return false;
    }
    return true;
  }
  return false;
}

}  // namespace

bool NetPolicy::Rule::matches(const SocketAddress& target) const {
  return target.address.isIn(address, prefixLength) && firstPort <= target.port && target.port <= lastPort;
}

kj::Maybe<NetPolicy::Rule> NetPolicy::Rule::tryParse(kj::StringPtr text) {
  Rule rule;
  KJ_IF_MAYBE (colon, text.findLast(':')) {
    auto host = kj::heapString(text.slice(0, *colon));
    bool bracketed = host.startsWith("[") && host.endsWith("]");
    if (bracketed) host = kj::heapString(host.slice(1, host.size() - 1));
    if (!parseNetwork(host, rule) || rule.address.isV6() != bracketed) return nullptr;
    if (!parsePorts(text.slice(*colon + 1), rule)) return nullptr;
    return rule;
  }
  return nullptr;
}

NetPolicy::NetPolicy() : NetPolicy(std::make_shared<Layer>()) {}

NetPolicy::NetPolicy(std::shared_ptr<const Layer> layer) {
  layers.push_back(std::move(layer));
}

NetPolicy NetPolicy::allowEverything() {
  auto layer = std::make_shared<Layer>();
  for (auto& rules : layer->rules) rules.add(Rule{IpAddress(), 0, 0, LAST_PORT});
  layer->icmpEcho = true;
  layer->mint = true;
  return NetPolicy(std::move(layer));
}

NetPolicy NetPolicy::fromIdl(idl::NetPolicy::Reader reader) {
  auto layer = std::make_shared<Layer>();
  auto read = [&](Action action, capnp::List<idl::NetPolicy::Rule>::Reader list) {
    KJ_REQUIRE(list.size() <= MAX_RULES, "too many rules for one action", list.size(), MAX_RULES);
    for (auto item : list) {
      Rule rule{IpAddress::fromIdl(item.getAddress(), IpAddress::AllowAny::YES), item.getPrefixLength(),
                item.getFirstPort(), item.getLastPort()};
      KJ_REQUIRE(rule.prefixLength <= rule.address.bytes().size() * 8, "the prefix is longer than the address",
                 rule.prefixLength);
      KJ_REQUIRE(rule.firstPort <= rule.lastPort, "the port range is upside down", rule.firstPort, rule.lastPort);
      layer->rules[static_cast<kj::uint>(action)].add(rule);
    }
  };
  read(Action::CONNECT, reader.getConnect());
  read(Action::LISTEN, reader.getListen());
  read(Action::UDP_BIND, reader.getUdpBind());
  read(Action::UDP_SEND, reader.getUdpSend());
  layer->icmpEcho = reader.getIcmpEcho();
  layer->mint = reader.getMint();
  return NetPolicy(std::move(layer));
}

NetPolicy NetPolicy::fromConfig(config::Netstackd::Export::Reader reader) {
  auto layer = std::make_shared<Layer>();
  auto read = [&](Action action, kj::StringPtr key, capnp::List<capnp::Text>::Reader list) {
    KJ_REQUIRE(list.size() <= MAX_RULES, "too many rules", reader.getName(), key, list.size(), MAX_RULES);
    for (auto text : list) {
      auto parsed = Rule::tryParse(text);
      KJ_IF_MAYBE (rule, parsed)
        layer->rules[static_cast<kj::uint>(action)].add(*rule);
      else
        KJ_FAIL_REQUIRE("not a rule; write \"10.42.0.0/24:34567-34568\", \"10.0.2.2:53\" or \"*:*\"", reader.getName(),
                        key, text);
    }
  };
  read(Action::CONNECT, "connect", reader.getConnect());
  read(Action::LISTEN, "listen", reader.getListen());
  read(Action::UDP_BIND, "udpBind", reader.getUdpBind());
  read(Action::UDP_SEND, "udpSend", reader.getUdpSend());
  layer->icmpEcho = reader.getIcmpEcho();
  layer->mint = reader.getMint();
  return NetPolicy(std::move(layer));
}

NetPolicy NetPolicy::restrictedBy(const NetPolicy& other) const {
  auto both = *this;
  both.layers.insert(both.layers.end(), other.layers.begin(), other.layers.end());
  if (both.layers.size() > MAX_LAYERS) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "restricted too many times in a row", MAX_LAYERS));
  }
  return both;
}

bool NetPolicy::allows(Action action, const SocketAddress& target) const {
  return std::all_of(layers.begin(), layers.end(), [&](const std::shared_ptr<const Layer>& layer) {
    auto& rules = layer->rules[static_cast<kj::uint>(action)];
    return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) { return rule.matches(target); });
  });
}

bool NetPolicy::allowsIcmpEcho() const {
  return std::all_of(layers.begin(), layers.end(),
                     [](const std::shared_ptr<const Layer>& layer) { return layer->icmpEcho; });
}

bool NetPolicy::allowsMint() const {
  return std::all_of(layers.begin(), layers.end(),
                     [](const std::shared_ptr<const Layer>& layer) { return layer->mint; });
}

}  // namespace nexus
