#include "daemons/dsoftbusd/policy/live-config.h"

#include <capnp/dynamic.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/daemon/config-loader.h"

namespace nexus {

namespace {

using Outcome = idl::BusAdmin::Outcome;

constexpr size_t MAX_TEXT_BYTES = 1 << 20;

// Everything else needs a restart.
constexpr kj::StringPtr LIVE_KEYS[] = {"policy"_kj,        "candidate"_kj, "trust"_kj,
                                       "ratePerSecond"_kj, "rateBurst"_kj, "services"_kj};

bool isLive(kj::StringPtr key) {
  for (auto live : LIVE_KEYS) {
    if (key == live) return true;
  }
  return false;
}

// Text of the whole value, defaults included: equal if and only if the values are.
kj::String valueOf(config::Dsoftbusd::Reader config, capnp::StructSchema::Field field) {
  return kj::str(capnp::DynamicStruct::Reader(config).get(field));
}

bool sameValue(config::Dsoftbusd::Reader a, config::Dsoftbusd::Reader b, kj::StringPtr key) {
  auto field = capnp::Schema::from<config::Dsoftbusd>().getFieldByName(key);
  return valueOf(a, field) == valueOf(b, field);
}

bool sameCandidate(kj::Maybe<kj::ArrayPtr<const PolicyRule>> a, kj::Maybe<kj::ArrayPtr<const PolicyRule>> b) {
  KJ_IF_MAYBE (rules, a) {
    KJ_IF_MAYBE (others, b) return sameRules(*rules, *others);
    return false;
  }
  return b == nullptr;
}

kj::Maybe<kj::ArrayPtr<const PolicyRule>> candidateOf(const BusSettings& settings) {
  KJ_IF_MAYBE (rules, settings.candidate) return rules->asPtr();
  return nullptr;
}

// KJ_REQUIRE(condition, "sentence") begins with the condition, which tells a user nothing.
kj::String sentenceOf(const kj::Exception& exception) {
  kj::StringPtr text = exception.getDescription();
  if (text.startsWith("expected ")) {
    for (size_t i = 0; i + 2 < text.size(); i++) {
      if (text.slice(i).startsWith("; ")) return kj::str(text.slice(i + 2));
    }
  }
  return kj::str(text);
}

}  // namespace

LiveConfig::LiveConfig(Dsoftbusd& node, config::Dsoftbusd::Reader config, kj::StringPtr fileName,
                       kj::Maybe<ReadText> read, ConfigureTrust configureTrust, kj::Function<LoadTime()> now)
    : node(node),
      current(kj::heap<capnp::MallocMessageBuilder>()),
      fileName(kj::str(fileName)),
      read(kj::mv(read)),
      configureTrust(kj::mv(configureTrust)),
      now(kj::mv(now)) {
  current->setRoot(config);
}

kj::OneOf<LiveConfig::Checked, SettingsError> LiveConfig::check(kj::StringPtr name, kj::StringPtr text) {
  auto message = kj::heap<capnp::MallocMessageBuilder>();
  auto wrong = loadConfig(name, text, "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), *message);
  KJ_IF_MAYBE (error, wrong) return SettingsError{kj::mv(error->message)};
  // The identity file is not opened again: which key this node has does not change while it runs.
  auto settings = checkSettings(
      message->getRoot<config::Dsoftbusd>().asReader(),
      [](kj::StringPtr) -> kj::OneOf<SecretBytes, SettingsError> { return SecretBytes(SEED_BYTES); }, now(),
      // Nor the schema files: what is offered does not change either.
      [this, &message](OfferList offers) -> kj::OneOf<RpcCatalog, kj::String> {
        bool same = offers.size() == 0 ||
                    sameValue(currentConfig(), message->getRoot<config::Dsoftbusd>().asReader(), "offers");
        if (same) return node.offers().clone();
        return kj::str("offers needs a restart: what is offered does not change while the node runs");
      });
  KJ_IF_MAYBE (error, settings.tryGet<SettingsError>()) return kj::mv(*error);
  auto& good = settings.get<BusSettings>();
  for (auto& peer : good.trust) {
    if (peer.identity.deviceId == node.deviceId()) {
      return SettingsError{
          kj::str("dsoftbusd configuration: trust entry \"", peer.name, "\" is this node itself: remove it")};
    }
  }
  return Checked{kj::mv(message), kj::mv(good)};
}

LiveConfig::Result LiveConfig::refuse(kj::StringPtr what, kj::String sentence) {
  counts.refused++;
  Result result;
  result.auditId =
      node.audit().appendChange(kj::str(what, " refused: ", sentence), CallStatus::DENIED, policyGeneration());
  result.sentence = kj::mv(sentence);
  return result;
}

// ---- reload

LiveConfig::Result LiveConfig::reload() {
  KJ_IF_MAYBE (readText, read) {
    auto text = (*readText)();
    KJ_IF_MAYBE (wrong, text.tryGet<SettingsError>()) return refuse("reload", kj::mv(wrong->sentence));
    auto checked = check(fileName, text.get<kj::String>());
    KJ_IF_MAYBE (wrong, checked.tryGet<SettingsError>()) return refuse("reload", kj::mv(wrong->sentence));
    return apply(kj::mv(checked.get<Checked>()));
  }
  Result result;
  result.outcome = Outcome::NO_FILE;
  result.sentence = kj::str("dsoftbusd was started without --config, so there is no file to read again");
  return result;
}

kj::Vector<kj::String> LiveConfig::keysThatNeedARestart(config::Dsoftbusd::Reader next) {
  kj::Vector<kj::String> keys;
  for (auto field : capnp::Schema::from<config::Dsoftbusd>().getFields()) {
    auto key = field.getProto().getName();
    if (!isLive(key) && valueOf(currentConfig(), field) != valueOf(next, field)) keys.add(kj::str(key));
  }
  return keys;
}

// What can still be refused comes first; from then on nothing fails.
LiveConfig::Result LiveConfig::apply(Checked checked) {
  auto needsRestart = keysThatNeedARestart(checked.config());
  if (needsRestart.size() > 0) {
    auto result = refuse("reload", kj::str("needs a restart: ", kj::strArray(needsRestart, ", ")));
    result.needsRestart = kj::mv(needsRestart);
    return result;
  }
  Result result;
  auto wrong = applyTrust(checked, result);
  KJ_IF_MAYBE (sentence, wrong) return refuse("reload", kj::mv(*sentence));
  applyPolicy(checked.settings, result);
  auto before = currentConfig(), next = checked.config();
  bool rates = !sameValue(before, next, "ratePerSecond") || !sameValue(before, next, "rateBurst");
  if (rates) {
    node.setRate(checked.settings.ratePerSecond, checked.settings.rateBurst);
    result.changed.add(kj::str("rate"));
  }
  if (!sameValue(before, next, "services")) {
    node.announceServices(kj::mv(checked.settings.services));
    result.changed.add(kj::str("services"));
  }
  current = kj::mv(checked.message);
  if (result.changed.size() == 0) {
    result.outcome = Outcome::UNCHANGED;
    result.sentence = kj::str("nothing changed: the file says what is in force, policy ", policyGeneration());
    return result;
  }
  counts.reloads++;
  result.outcome = Outcome::APPLIED;
  result.sentence = kj::str("changed: ", kj::strArray(result.changed, ", "), "; policy ", policyGeneration());
  if (result.streamsReset > 0) result.sentence = kj::str(result.sentence, "; streams reset: ", result.streamsReset);
  result.auditId = node.audit().appendChange(kj::str("reload ", result.sentence), CallStatus::OK, policyGeneration());
  return result;
}

kj::Maybe<kj::String> LiveConfig::applyTrust(Checked& checked, Result& result) {
  if (sameValue(currentConfig(), checked.config(), "trust")) return nullptr;
  auto failed = kj::runCatchingExceptions([&] { configureTrust(kj::mv(checked.settings.trust)); });
  KJ_IF_MAYBE (exception, failed) return sentenceOf(*exception);
  result.changed.add(kj::str("trust"));
  return nullptr;
}

void LiveConfig::applyPolicy(BusSettings& settings, Result& result) {
  auto& policy = node.livePolicy();
  if (!sameCandidate(policy.candidate(), candidateOf(settings))) {
    policy.setCandidate(kj::mv(settings.candidate));
    result.changed.add(kj::str("candidate"));
  }
  if (sameRules(policy.rules(), settings.rules)) return;
  policy.enforce(kj::mv(settings.rules));
  result.changed.add(kj::str("policy"));
  // A stream goes on for as long as its rule does: what was closed to a peer must not stay open because it was once.
  result.streamsReset = node.sessions().recheckStreams();
  counts.streamsReset += result.streamsReset;
}

// ---- dry run

LiveConfig::Result LiveConfig::setCandidate(kj::StringPtr toml) {
  if (toml.size() > MAX_TEXT_BYTES) return refuse("dry run", kj::str("the configuration is longer than 1 MiB"));
  auto result = check("candidate", toml);
  KJ_IF_MAYBE (wrong, result.tryGet<SettingsError>()) return refuse("dry run", kj::mv(wrong->sentence));
  auto& settings = result.get<Checked>().settings;
  // A name in the candidate has to mean the device that it means here.
  for (auto& rule : settings.rules) {
    for (auto& peer : settings.trust) {
      if (peer.name != rule.peer) continue;
      bool same = false;
      KJ_IF_MAYBE (here, node.trusted().findByName(peer.name)) same = here->accepts(peer.identity);
      if (same) continue;
      return refuse("dry run", kj::str("the peer \"", peer.name, "\" of the candidate is not the one that this node ",
                                       "trusts by that name"));
    }
  }
  Result done;
  settings.candidate = kj::mv(settings.rules);
  if (sameCandidate(node.livePolicy().candidate(), candidateOf(settings))) {
    done.outcome = Outcome::UNCHANGED;
    done.sentence = kj::str("that candidate is evaluated already");
    return done;
  }
  done.outcome = Outcome::APPLIED;
  done.sentence = kj::str("dry run: a candidate of ", KJ_ASSERT_NONNULL(settings.candidate).size(),
                          " rules beside policy ", policyGeneration());
  node.livePolicy().setCandidate(kj::mv(settings.candidate));
  done.auditId = node.audit().appendChange(done.sentence, CallStatus::OK, policyGeneration());
  return done;
}

LiveConfig::Result LiveConfig::dropCandidate() {
  Result result;
  if (node.livePolicy().candidate() == nullptr) {
    result.outcome = Outcome::UNCHANGED;
    result.sentence = kj::str("there is no dry run");
    return result;
  }
  node.livePolicy().setCandidate(nullptr);
  result.outcome = Outcome::APPLIED;
  result.sentence = kj::str("the dry run has ended; policy ", policyGeneration(), " is enforced as before");
  result.auditId = node.audit().appendChange(result.sentence, CallStatus::OK, policyGeneration());
  return result;
}

}  // namespace nexus
