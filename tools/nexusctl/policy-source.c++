#include "tools/nexusctl/policy-source.h"

#include <capnp/message.h>
#include <kj/filesystem.h>

#include "daemons/dsoftbusd/schema-rpc/read-schema.h"
#include "libs/nexus-net-os/daemon/config-loader.h"

namespace nexus::ctl {

namespace {

constexpr uint64_t MAX_FILE_BYTES = 1 << 20;

class FileSource final : public PolicySource {
 public:
  explicit FileSource(BusSettings settings) : settings(kj::mv(settings)) {}

  kj::Promise<Report> explain(PolicyQuestion question,
                              kj::Function<Report(idl::PolicyExplanation::Reader)> each) override {
    PolicyTable table{settings.trust, settings.rules, nullptr, &settings.offers};
    capnp::MallocMessageBuilder message;
    auto out = message.initRoot<idl::PolicyExplanation>();
    explainPolicy(table, question).toIdl(table, out);
    return each(out.asReader());
  }

 private:
  BusSettings settings;
};

class LiveSource final : public PolicySource {
 public:
  explicit LiveSource(idl::DSoftBus::Client bus) : bus(kj::mv(bus)) {}

  kj::Promise<Report> explain(PolicyQuestion question,
                              kj::Function<Report(idl::PolicyExplanation::Reader)> each) override {
    auto request = bus.explainRequest();
    request.setPeer(question.peer);
    request.setService(question.service);
    request.setOperation(question.operation);
    return request.send().then(
        [each = kj::mv(each)](auto&& response) mutable { return each(response.getExplanation()); });
  }

 private:
  idl::DSoftBus::Client bus;
};

kj::StringPtr reasonName(idl::PolicyReason reason) {
  switch (reason) {
    case idl::PolicyReason::NO_RULE:
      return "no-rule"_kj;
    case idl::PolicyReason::RULE:
      return "rule"_kj;
    case idl::PolicyReason::UNKNOWN_PEER:
      return "unknown-peer"_kj;
    case idl::PolicyReason::UNKNOWN_SERVICE:
      return "unknown-service"_kj;
    case idl::PolicyReason::NOT_OFFERED:
      return "not-offered"_kj;
    case idl::PolicyReason::OTHER_CHECK:
      return "other-check"_kj;
    case idl::PolicyReason::EVENT:
      return "event"_kj;
    case idl::PolicyReason::FAILED_LATER:
      return "failed-later"_kj;
  }
  return "unknown"_kj;
}

kj::StringPtr mismatchName(idl::PolicyMismatch mismatch) {
  switch (mismatch) {
    case idl::PolicyMismatch::PEER:
      return "peer differs"_kj;
    case idl::PolicyMismatch::SERVICE:
      return "service differs"_kj;
    case idl::PolicyMismatch::OPERATION:
      return "operation not named"_kj;
  }
  return "unknown"_kj;
}

kj::String ruleText(idl::PolicyExplanation::Rule::Reader rule) {
  auto operations = KJ_MAP(operation, rule.getOperations()) {
    return clean(operation);
  };
  return kj::str("rule ", rule.getIndex(), ": ", clean(rule.getPeer()), ' ', clean(rule.getService()), ' ',
                 kj::strArray(operations, ","));
}

Json ruleJson(idl::PolicyExplanation::Rule::Reader rule) {
  Json json;
  json.set("index", uint64_t(rule.getIndex())).set("peer", clean(rule.getPeer()));
  json.set("service", clean(rule.getService()));
  auto operations = Json::array();
  for (auto operation : rule.getOperations()) operations.add(clean(operation));
  json.set("operations", kj::mv(operations));
  return json;
}

// Line feeds stay; the rest of what could steer a terminal goes.
kj::String cleanLines(kj::StringPtr text) {
  auto copy = kj::heapString(text);
  for (char& c : copy) {
    if (c != '\n' && (c < 0x20 || c > 0x7e)) c = '?';
  }
  return copy;
}

}  // namespace

kj::OneOf<kj::String, Report> readTextFile(kj::StringPtr path) {
  auto files = kj::newDiskFilesystem();
  kj::Maybe<kj::String> text;
  bool tooLong = false;
  auto failed = kj::runCatchingExceptions([&] {
    auto maybeFile = files->getRoot().tryOpenFile(files->getCurrentPath().evalNative(path));
    KJ_IF_MAYBE (file, maybeFile) {
      tooLong = (*file)->stat().size > MAX_FILE_BYTES;
      if (!tooLong) text = (*file)->readAllText();
    }
  });
  if (failed != nullptr) return failure(Exit::DENIED, kj::str("The file ", path, " cannot be read."));
  if (tooLong) return failure(Exit::BAD_CONFIG, kj::str("The file ", path, " is longer than 1 MiB."));
  KJ_IF_MAYBE (t, text) return kj::mv(*t);
  return failure(Exit::NOT_FOUND, kj::str("There is no file ", path, "."));
}

kj::OneOf<BusSettings, Report> readPolicyConfig(kj::StringPtr path) {
  auto text = readTextFile(path);
  KJ_IF_MAYBE (wrong, text.tryGet<Report>()) return kj::mv(*wrong);
  capnp::MallocMessageBuilder message;
  auto error = loadConfig(path, text.get<kj::String>(), "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), message);
  KJ_IF_MAYBE (e, error) return failure(Exit::BAD_CONFIG, e->message);
  // Whoever may read the policy may still not read the key; no rule depends on it.
  auto settings = checkSettings(
      message.getRoot<config::Dsoftbusd>().asReader(),
      [](kj::StringPtr) -> kj::OneOf<SecretBytes, SettingsError> { return SecretBytes(SEED_BYTES); },
      // no rule depends on a grace either
      {kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()},
      [](OfferList offers) { return checkOffers(offers, readSchemaFile); });
  KJ_IF_MAYBE (wrong, settings.tryGet<SettingsError>()) return failure(Exit::BAD_CONFIG, wrong->sentence);
  return kj::mv(settings.get<BusSettings>());
}

kj::OneOf<kj::Own<PolicySource>, Report> openPolicySource(Context& context, kj::StringPtr configPath) {
  if (configPath.size() > 0) {
    auto settings = readPolicyConfig(configPath);
    KJ_IF_MAYBE (wrong, settings.tryGet<Report>()) return kj::mv(*wrong);
    return kj::Own<PolicySource>(kj::heap<FileSource>(kj::mv(settings.get<BusSettings>())));
  }
  auto bus = openBus(context);
  KJ_IF_MAYBE (closed, bus.tryGet<Report>()) return kj::mv(*closed);
  return kj::Own<PolicySource>(kj::heap<LiveSource>(bus.get<idl::DSoftBus::Client>()));
}

kj::String explanationText(idl::PolicyExplanation::Reader e) {
  kj::Vector<kj::String> lines;
  bool event = e.getReason() == idl::PolicyReason::EVENT;
  auto word = event ? "EVENT  "_kj : e.getAllowed() ? "ALLOW  "_kj : "DENY   "_kj;
  lines.add(kj::str(word, event ? kj::String() : kj::str(reasonName(e.getReason()), "  "), clean(e.getSentence())));
  if (e.hasRule()) lines.add(kj::str("  decided by  ", ruleText(e.getRule())));
  for (auto considered : e.getConsidered()) {
    lines.add(
        kj::str("  considered  ", ruleText(considered.getRule()), "  (", mismatchName(considered.getMismatch()), ')'));
  }
  if (e.getToAllow().size() > 0) {
    lines.add(kj::str("to allow it, add to the configuration of dsoftbusd on this node, then nexusctl policy reload:"));
    lines.add(kj::str());
    lines.add(cleanLines(e.getToAllow()));
  } else {
    lines.add(kj::str());
  }
  return kj::strArray(lines, "\n");
}

void addExplanation(Json& json, idl::PolicyExplanation::Reader e) {
  bool event = e.getReason() == idl::PolicyReason::EVENT;
  json.set("allowed", event ? Json::null() : Json(bool(e.getAllowed()))).set("reason", reasonName(e.getReason()));
  json.set("sentence", clean(e.getSentence())).set("toAllow", cleanLines(e.getToAllow()));
  if (e.hasRule()) json.set("rule", ruleJson(e.getRule()));
  auto list = Json::array();
  for (auto considered : e.getConsidered()) {
    Json item;
    item.set("rule", ruleJson(considered.getRule())).set("mismatch", mismatchName(considered.getMismatch()));
    list.add(kj::mv(item));
  }
  json.set("considered", kj::mv(list));
}

}  // namespace nexus::ctl
