#include "daemons/dsoftbusd/bus-settings.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/mux/mux-frame.h"
#include "daemons/dsoftbusd/remote/remote-services.h"
#include "daemons/dsoftbusd/trust/paired-peers.h"

namespace nexus {

namespace {

using Text = capnp::Text::Reader;

constexpr size_t MAX_NAME_BYTES = 64;
constexpr size_t MAX_POLICY_RULES = 4096;  // of the policy, and as many of the candidate
constexpr uint16_t DEFAULT_SESSION_PORT = 34567;

// Checks one configuration; the first fault is the answer.
class Checker {
 public:
  Checker(config::Dsoftbusd::Reader config, const LoadTime& now) : config(config), now(now) {}

  kj::Maybe<SettingsError> checkNumbers() {
    if (config.getNodeName().size() == 0) return error("nodeName is missing: give this node a name");
    if (config.getSessionPort() == 0 || config.getDiscoveryPort() == 0)
      return error("sessionPort and discoveryPort must not be 0");
    if (config.getRatePerSecond() == 0 || config.getRateBurst() == 0) {
      return error("ratePerSecond and rateBurst must not be 0: to allow no calls, leave the policy empty");
    }
    if (config.getMesh().size() > ANNOUNCE_MAX_NAME) return error("mesh has at most ", ANNOUNCE_MAX_NAME, " bytes");
    if (config.getAuditFileMaxBytes() < 65536 || config.getAuditFileMaxBytes() > 1073741824) {
      return error("auditFileMaxBytes must be 65536 to 1073741824");
    }
    if (config.getAuditFilesKept() < 1 || config.getAuditFilesKept() > 99) {
      return error("auditFilesKept must be 1 to 99");
    }
    if (config.getMaxPeers() == 0) return error("maxPeers must not be 0");
    if (config.getMaxTrustedPeers() == 0 || config.getMaxTrustedPeers() > MAX_PAIRED_PEERS)
      return error("maxTrustedPeers must be 1 to ", MAX_PAIRED_PEERS);
    if (config.getAnnounceIntervalMs() < 100) return error("announceIntervalMs must be at least 100");
    if (config.getAnnounceMaxMs() < config.getAnnounceIntervalMs())
      return error("announceMaxMs is below announceIntervalMs");
    if (config.getPeerTtlMs() <= config.getAnnounceMaxMs()) {
      return error("peerTtlMs must be above announceMaxMs, or peers age out between two announcements");
    }
    return nullptr;
  }

  kj::OneOf<DeviceIdentity, SettingsError> identity(ReadSeed readSeed) {
    bool file = config.getIdentityFile().size() > 0, test = config.getTestIdentity().size() > 0;
    if (file == test) return error("give either identityFile or testIdentity");
    if (test) {
      if (!config.getAllowTestIdentity())
        return error("testIdentity is a publicly known key: it needs allowTestIdentity = true");
      usesTestKeys = true;
      return DeviceIdentity::forTest(config.getTestIdentity());
    }
    auto seed = readSeed(config.getIdentityFile());
    KJ_IF_MAYBE (wrong, seed.tryGet<SettingsError>()) return kj::mv(*wrong);
    return DeviceIdentity(seed.get<SecretBytes>());
  }

  kj::OneOf<kj::Array<TrustedPeer>, SettingsError> trust(const DeviceIdentity& own) {
    kj::Vector<TrustedPeer> peers;
    auto most = config.getMaxTrustedPeers();
    if (config.getTrust().size() > most) return error("at most ", most, " trust entries (maxTrustedPeers)");
    for (auto entry : config.getTrust()) {
      auto result = trusted(entry);
      KJ_IF_MAYBE (wrong, result.tryGet<SettingsError>()) return kj::mv(*wrong);
      auto& peer = result.get<TrustedPeer>();
      if (peer.find(own.deviceId()) != nullptr)
        return error("trust entry \"", peer.name, "\" is this node itself: remove it");
      for (auto& other : peers) {
        if (other.name == peer.name) return error("two trust entries have the name \"", peer.name, "\"");
        if (shareDevice(other, peer)) {
          return error("the trust entries \"", other.name, "\" and \"", peer.name, "\" are the same device");
        }
      }
      peers.add(kj::mv(peer));
    }
    return peers.releaseAsArray();
  }

  kj::OneOf<kj::Array<PolicyRule>, SettingsError> rules(capnp::List<config::Dsoftbusd::Rule>::Reader list,
                                                        kj::ArrayPtr<const TrustedPeer> peers,
                                                        const RpcCatalog& offers) {
    if (list.size() > MAX_POLICY_RULES) return error("at most ", MAX_POLICY_RULES, " policy rules");
    kj::Vector<PolicyRule> rules;
    for (auto entry : list) {
      auto wrong = checkRule(entry, peers, offers);
      KJ_IF_MAYBE (e, wrong) return kj::mv(*e);
      auto operations = KJ_MAP(operation, entry.getOperations()) {
        return kj::str(operation);
      };
      rules.add(PolicyRule{kj::str(entry.getPeer()), kj::str(entry.getService()), kj::mv(operations)});
    }
    return rules.releaseAsArray();
  }

  kj::OneOf<kj::Array<kj::String>, SettingsError> services() {
    if (config.getServices().size() > ANNOUNCE_MAX_SERVICES)
      return error("at most ", ANNOUNCE_MAX_SERVICES, " services are announced");
    kj::Vector<kj::String> names;
    for (auto name : config.getServices()) {
      if (name.size() == 0 || name.size() > ANNOUNCE_MAX_NAME)
        return error("service \"", name, "\": a name has 1 to 64 bytes");
      names.add(kj::str(name));
    }
    return names.releaseAsArray();
  }

  kj::OneOf<DiscoverySettings, SettingsError> discovery() {
    DiscoverySettings settings;
    auto& announce = settings.announce;
    announce.port = config.getDiscoveryPort();
    announce.broadcast = config.getBroadcast();
    announce.firstInterval = config.getAnnounceIntervalMs() * kj::MILLISECONDS;
    announce.largestInterval = config.getAnnounceMaxMs() * kj::MILLISECONDS;
    settings.table.capacity = config.getMaxPeers();
    settings.table.timeToLive = config.getPeerTtlMs() * kj::MILLISECONDS;
    auto v4 = addGroup(announce, "multicastGroup", config.getMulticastGroup(), IpAddress::Family::V4);
    KJ_IF_MAYBE (wrong, v4) return kj::mv(*wrong);
    auto v6 = addGroup(announce, "multicastGroup6", config.getMulticastGroup6(), IpAddress::Family::V6);
    KJ_IF_MAYBE (wrong, v6) return kj::mv(*wrong);
    kj::Vector<SocketAddress> unicast;
    for (auto text : config.getUnicastPeers()) {
      auto parsed = hostOf(text, config.getDiscoveryPort());
      KJ_IF_MAYBE (to, parsed)
        unicast.add(*to);
      else
        return error("unicastPeers: \"", text, "\" is no address; write 10.0.0.2 or 10.0.0.2:37020");
    }
    announce.unicastPeers = unicast.releaseAsArray();
    return kj::mv(settings);
  }

  kj::OneOf<kj::Array<kj::String>, SettingsError> links() {
    kj::Vector<kj::String> names;
    for (auto name : config.getLinks()) {
      if (name.size() == 0) return error("links: a name of an imported network is empty");
      for (auto& other : names) {
        if (other == name) return error("links: \"", name, "\" is there twice");
      }
      names.add(kj::str(name));
    }
    if (!config.hasLinks()) names.add(kj::str("net"));
    if (names.size() == 0) return error("links is empty: name at least one imported network");
    if (names.size() > MAX_LINKS) return error("at most ", MAX_LINKS, " links");
    return names.releaseAsArray();
  }

  // Before rules().
  kj::OneOf<RpcCatalog, SettingsError> checkedOffers(ReadOffers readOffers) {
    auto result = readOffers(config.getOffers());
    KJ_IF_MAYBE (wrong, result.tryGet<kj::String>()) return error(*wrong);
    return kj::mv(result.get<RpcCatalog>());
  }

  bool usesTestKeys = false;

 private:
  config::Dsoftbusd::Reader config;
  const LoadTime& now;

  template <typename... Params>
  static SettingsError error(Params&&... params) {
    return {kj::str("dsoftbusd configuration: ", kj::fwd<Params>(params)...)};
  }

  kj::OneOf<TrustedPeer, SettingsError> trusted(config::Dsoftbusd::Trust::Reader entry) {
    auto name = entry.getName();
    if (name.size() == 0 || name.size() > MAX_NAME_BYTES) return error("a trust entry needs a name of 1 to 64 bytes");
    auto address = entry.getAddress().size() == 0 ? nullptr : hostOf(entry.getAddress(), DEFAULT_SESSION_PORT);
    if (entry.getAddress().size() > 0 && address == nullptr) {
      return error("trust entry \"", name, "\": address \"", entry.getAddress(),
                   "\" is none; write 10.0.0.2 or 10.0.0.2:34567");
    }
    if (entry.getTestIdentity().size() > 0) {
      if (entry.getDeviceId().size() > 0 || entry.getStaticKey().size() > 0) {
        return error("trust entry \"", name, "\": give either testIdentity, or deviceId and staticKey");
      }
      if (!config.getAllowTestIdentity()) {
        return error("trust entry \"", name,
                     "\": testIdentity is a publicly known key: it needs allowTestIdentity = true");
      }
      usesTestKeys = true;
      return TrustedPeer{kj::str(name), DeviceIdentity::forTest(entry.getTestIdentity()).publicIdentity(),
                         entry.getDial(), address};
    }
    if (!isDeviceId(entry.getDeviceId())) {
      return error("trust entry \"", name, "\": deviceId must be 64 lowercase hexadecimal digits");
    }
    auto key = tryParseKeyBytes(entry.getStaticKey());
    KJ_IF_MAYBE (k, key) {
      auto previous = checkPrevious(entry, now);
      KJ_IF_MAYBE (wrong, previous.tryGet<kj::String>()) return error("trust entry \"", name, "\": ", *wrong);
      return TrustedPeer{kj::str(name), PublicIdentity{kj::str(entry.getDeviceId()), *k}, entry.getDial(), address,
                         kj::mv(previous.get<kj::Maybe<PreviousIdentity>>())};
    }
    return error("trust entry \"", name, "\" has no key: staticKey must be 64 hexadecimal digits");
  }

  kj::Maybe<SettingsError> checkStreamRule(config::Dsoftbusd::Rule::Reader rule) {
    if (rule.getService().slice(STREAM_SERVICE_PREFIX.size()).startsWith(SERVICE_STREAM_PREFIX)) {
      return error("a policy rule for ", rule.getPeer(), " names \"", rule.getService(),
                   "\": streams of a service are ruled by its name; write service = \"bundlemgrd\" and the operation");
    }
    if (rule.getService().slice(STREAM_SERVICE_PREFIX.size()).startsWith(RPC_SERVICE_PREFIX)) {
      return error("a policy rule for ", rule.getPeer(), " names \"", rule.getService(),
                   "\": streams for calls are a service of their own; write service = \"rpc:NAME\" and the methods");
    }
    if (!isMuxStreamName(rule.getService().slice(STREAM_SERVICE_PREFIX.size()).asArray())) {
      return error("a policy rule for ", rule.getPeer(), " names \"", rule.getService(),
                   "\": the name of a stream has 1 to 64 visible ASCII characters");
    }
    auto operations = rule.getOperations();
    if (operations.size() != 1 || operations[0] != STREAM_OPERATION) {
      return error("the policy rule for ", rule.getPeer(), " and ", rule.getService(),
                   " must name the operation \"open\" and no other");
    }
    return nullptr;
  }

  kj::Maybe<SettingsError> checkRpcRule(config::Dsoftbusd::Rule::Reader rule, const RpcCatalog& offers) {
    auto operations = KJ_MAP(o, rule.getOperations()) {
      return kj::StringPtr(o);
    };
    return offers.checkRule(rule.getService(), operations).map([&](const kj::String& wrong) {
      return error("a policy rule for ", rule.getPeer(), " ", wrong);
    });
  }

  kj::Maybe<SettingsError> checkRule(config::Dsoftbusd::Rule::Reader rule, kj::ArrayPtr<const TrustedPeer> peers,
                                     const RpcCatalog& offers) {
    bool known = config.getTrustFile().size() > 0;  // then it may be, or become, a paired peer
    for (auto& peer : peers) known = known || peer.name == rule.getPeer();
    if (!known) return error("a policy rule names the peer \"", rule.getPeer(), "\", which has no trust entry");
    if (rule.getService().startsWith(STREAM_SERVICE_PREFIX)) return checkStreamRule(rule);
    if (rule.getService().startsWith(RPC_SERVICE_PREFIX)) return checkRpcRule(rule, offers);
    KJ_IF_MAYBE (service, findRemoteService(rule.getService())) {
      if (rule.getOperations().size() == 0) {
        return error("the policy rule for ", rule.getPeer(), " and ", rule.getService(), " names no operation");
      }
      for (auto operation : rule.getOperations()) {
        if (!service->offers(operation)) {
          return error("a policy rule for ", rule.getPeer(), " names the operation \"", operation, "\", which ",
                       service->name,
                       " does not offer to other nodes; it offers: ", kj::strArray(service->offered, ", "));
        }
      }
      return nullptr;
    }
    auto there = kj::strArray(KJ_MAP(s, remoteServices()) { return s.name; }, ", ");
    return error("a policy rule for ", rule.getPeer(), " names the service \"", rule.getService(),
                 "\"; there are: ", there, ", rpc:NAME and stream:NAME");
  }

  kj::Maybe<SettingsError> addGroup(AnnounceSettings& settings, kj::StringPtr key, kj::StringPtr text,
                                    IpAddress::Family family) {
    if (text.size() == 0) return nullptr;
    KJ_IF_MAYBE (group, IpAddress::tryParse(text)) {
      if (group->family() == family && group->isMulticast()) {
        settings.groups.add(*group);
        return nullptr;
      }
    }
    return error(key, " \"", text, "\" is no IPv", family == IpAddress::Family::V4 ? 4 : 6,
                 " multicast address; empty means none");
  }

  // "10.0.0.2" or "10.0.0.2:34567": one host.
  static kj::Maybe<SocketAddress> hostOf(kj::StringPtr text, uint16_t usualPort) {
    kj::Maybe<SocketAddress> result;
    KJ_IF_MAYBE (address, IpAddress::tryParse(text)) {
      result = SocketAddress{*address, usualPort};
    } else {
      result = SocketAddress::tryParse(text);
    }
    KJ_IF_MAYBE (to, result) {
      if (to->address.isAny() || to->address.isMulticast() || to->port == 0) return nullptr;
    }
    return result;
  }
};

}  // namespace

kj::OneOf<RpcCatalog, kj::String> builtInOffers(OfferList offers) {
  return checkOffers(offers, [](kj::StringPtr) { return kj::str("no files are read here"); });
}

kj::OneOf<BusSettings, SettingsError> checkSettings(config::Dsoftbusd::Reader config, ReadSeed readSeed,
                                                    const LoadTime& now, ReadOffers readOffers) {
  Checker checker(config, now);
  auto numbers = checker.checkNumbers();
  KJ_IF_MAYBE (wrong, numbers) return kj::mv(*wrong);
  auto identity = checker.identity(readSeed);
  KJ_IF_MAYBE (wrong, identity.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto& own = identity.get<DeviceIdentity>();
  auto trust = checker.trust(own);
  KJ_IF_MAYBE (wrong, trust.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto& peers = trust.get<kj::Array<TrustedPeer>>();
  auto offers = checker.checkedOffers(kj::mv(readOffers));
  KJ_IF_MAYBE (wrong, offers.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto& catalog = offers.get<RpcCatalog>();
  auto rules = checker.rules(config.getPolicy(), peers, catalog);
  KJ_IF_MAYBE (wrong, rules.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto candidate = checker.rules(config.getCandidate(), peers, catalog);
  KJ_IF_MAYBE (wrong, candidate.tryGet<SettingsError>()) return kj::mv(*wrong);
  kj::Maybe<kj::Array<PolicyRule>> dryRun;
  if (config.hasCandidate()) dryRun = kj::mv(candidate.get<kj::Array<PolicyRule>>());
  auto services = checker.services();
  KJ_IF_MAYBE (wrong, services.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto links = checker.links();
  KJ_IF_MAYBE (wrong, links.tryGet<SettingsError>()) return kj::mv(*wrong);
  auto discovery = checker.discovery();
  KJ_IF_MAYBE (wrong, discovery.tryGet<SettingsError>()) return kj::mv(*wrong);
  return BusSettings{.nodeName = kj::str(config.getNodeName()),
                     .identity = kj::mv(own),
                     .usesTestKeys = checker.usesTestKeys,
                     .sessionPort = config.getSessionPort(),
                     .discovery = kj::mv(discovery.get<DiscoverySettings>()),
                     .links = kj::mv(links.get<kj::Array<kj::String>>()),
                     .mesh = kj::str(config.getMesh()),
                     .services = kj::mv(services.get<kj::Array<kj::String>>()),
                     .trust = kj::mv(peers),
                     .maxTrustedPeers = config.getMaxTrustedPeers(),
                     .trustFile = kj::str(config.getTrustFile()),
                     .rules = kj::mv(rules.get<kj::Array<PolicyRule>>()),
                     .candidate = kj::mv(dryRun),
                     .offers = kj::mv(catalog),
                     .ratePerSecond = config.getRatePerSecond(),
                     .rateBurst = config.getRateBurst()};
}

}  // namespace nexus
