#pragma once
// The configuration of dsoftbusd (idl config.capnp, Dsoftbusd), checked and typed. Whatever does not make sense is one
// sentence that names the entry and the remedy; nothing is guessed. Pure but for the identity file, which the caller
// reads.
#include <kj/function.h>
#include <kj/one-of.h>

#include "daemons/dsoftbusd/discovery/discovery.h"
#include "daemons/dsoftbusd/policy/proxy-policy.h"
#include "daemons/dsoftbusd/schema-rpc/schema-file.h"
#include "daemons/dsoftbusd/trust/identity.h"
#include "daemons/dsoftbusd/trust/trust-grace.h"
#include "idl/config.capnp.h"

namespace nexus {

struct BusSettings {
  kj::String nodeName;
  DeviceIdentity identity;
  bool usesTestKeys = false;  // a publicly known key of this node or of a peer
  uint16_t sessionPort = 0;
  DiscoverySettings discovery;
  kj::Array<kj::String> links;     // names of the imported networks; at least one
  kj::String mesh;                 // empty: none
  kj::Array<kj::String> services;  // announced
  kj::Array<TrustedPeer> trust;
  size_t maxTrustedPeers = 64;
  kj::String trustFile;  // empty: none
  kj::Array<PolicyRule> rules;
  kj::Maybe<kj::Array<PolicyRule>> candidate;  // of a dry run
  RpcCatalog offers;
  kj::uint ratePerSecond = 0, rateBurst = 0;
};

struct SettingsError {
  kj::String sentence;
};

constexpr size_t MAX_LINKS = 8;

// readSeed: the seed in the identity file of that path, or what is wrong with the file. now: for the graces of keys.
using ReadSeed = kj::FunctionParam<kj::OneOf<SecretBytes, SettingsError>(kj::StringPtr path)>;
// What the offers are, or what is wrong with them; checkOffers with the files of a disk, or what is known already.
using OfferList = capnp::List<config::Dsoftbusd::Offer>::Reader;
using ReadOffers = kj::FunctionParam<kj::OneOf<RpcCatalog, kj::String>(OfferList offers)>;
kj::OneOf<RpcCatalog, kj::String> builtInOffers(OfferList offers);  // those that need no file

kj::OneOf<BusSettings, SettingsError> checkSettings(config::Dsoftbusd::Reader config, ReadSeed readSeed,
                                                    const LoadTime& now, ReadOffers readOffers = builtInOffers);

}  // namespace nexus
