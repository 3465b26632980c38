#include "daemons/netstackd/netstackd-settings.h"

#include <kj/debug.h>

namespace nexus {

namespace {

Ipv4Config parseFixed(kj::StringPtr address, kj::StringPtr gateway) {
  Ipv4Config fixed;
  // "10.42.0.10/24" is a rule's network with its host bits kept.
  auto parsed = NetPolicy::Rule::tryParse(kj::str(address, ":*"));
  KJ_IF_MAYBE (rule, parsed) {
    KJ_REQUIRE(
        rule->address.isV4() && rule->prefixLength > 0 && rule->prefixLength < 32 && address.findFirst('/') != nullptr,
        "address: write an IPv4 address and its prefix, such as \"10.42.0.10/24\"", address);
    fixed.address = rule->address;
    fixed.prefixLength = rule->prefixLength;
  } else {
    KJ_FAIL_REQUIRE("address: write an IPv4 address and its prefix, such as \"10.42.0.10/24\"", address);
  }
  if (gateway.size() > 0) {
    auto given = IpAddress::tryParse(gateway);
    KJ_IF_MAYBE (g, given) fixed.gateway = *g;
    KJ_REQUIRE(
        fixed.gateway.isV4() && fixed.gateway.isIn(fixed.address, fixed.prefixLength) && fixed.gateway != fixed.address,
        "gateway: write another IPv4 address of the same network, or leave it out", gateway, address);
  }
  return fixed;
}

}  // namespace

NetstackdSettings NetstackdSettings::fromConfig(config::Netstackd::Reader config) {
  NetstackdSettings settings;
  settings.dhcpTimeout = config.getDhcpTimeoutMs() * kj::MILLISECONDS;
  settings.limits.streamLingerMs = config.getStreamLingerMs();
  KJ_REQUIRE(settings.limits.streamLingerMs >= 100 && settings.limits.streamLingerMs <= 3'600'000,
             "streamLingerMs: write 100 to 3600000 milliseconds", settings.limits.streamLingerMs);
  settings.sandbox = config.getSandbox();
  if (config.getAddressing() == config::Netstackd::Addressing::STATIC) {
    settings.fixed = parseFixed(config.getAddress(), config.getGateway());
  }
  for (auto item : config.getExports()) {
    kj::StringPtr name = item.getName();
    KJ_REQUIRE(name.size() > 0, "exports: each needs a name");
    KJ_REQUIRE(name != "net" && name != "status-netstackd", "exports: this name is taken by the daemon itself", name);
    for (auto& other : settings.exports) KJ_REQUIRE(other.name != name, "exports: one name twice", name);
    settings.exports.add(Export{kj::str(name), NetPolicy::fromConfig(item)});
  }
  return settings;
}

}  // namespace nexus
