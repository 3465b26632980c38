#include "tools/nexusctl/bus-rpc-command.h"

#include <capnp/dynamic.h>
#include <kj/filesystem.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "daemons/dsoftbusd/schema-rpc/read-schema.h"
#include "daemons/dsoftbusd/schema-rpc/schema-file.h"
#include "tools/nexusctl/json-answer.h"
#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

// The number after the last "audit id " of a refusal; null: there is none.
kj::Maybe<uint64_t> auditIdOf(kj::StringPtr said) {
  constexpr auto WORDS = "audit id "_kj;
  kj::Maybe<uint64_t> last;
  for (size_t i = 0; i + WORDS.size() < said.size(); i++) {
    if (said.slice(i).startsWith(WORDS)) last = strtoull(said.cStr() + i + WORDS.size(), nullptr, 10);
  }
  return last;
}

// What a failed call means here. The peer tells kinds by the exception, and a refusal of its policy by its first word.
Report callFailed(const kj::Exception& exception) {
  kj::StringPtr said = exception.getDescription();
  constexpr auto REMOTE = "remote exception: "_kj;
  while (said.startsWith(REMOTE)) said = said.slice(REMOTE.size());
  KJ_IF_MAYBE (id, auditIdOf(said)) {
    if (said.startsWith("denied: ")) return explainedFailure(Exit::DENIED, said, whyThere(*id), *id);
    switch (exception.getType()) {
      case kj::Exception::Type::UNIMPLEMENTED:
        return explainedFailure(Exit::UNSUPPORTED, said, "The peer's schema of that service is another one.", *id);
      case kj::Exception::Type::OVERLOADED:
      case kj::Exception::Type::DISCONNECTED:
        return explainedFailure(Exit::OTHER, said, "Try again later.", *id);
      case kj::Exception::Type::FAILED:
        return explainedFailure(Exit::OTHER, said, whyThere(*id), *id);
    }
  }
  return exceptionReport(exception);
}

class BusRpcCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus rpc"_kj; }
  kj::StringPtr about() const override { return "calls a method that a peer offers by its schema"_kj; }
  kj::StringPtr example() const override { return "node-b samgr resolveStatus {\"name\":\"bundlemgrd\"}"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    app.add_option("SERVICE", service, "what the peer offers: samgr for rules about rpc:samgr")->required();
    app.add_option("METHOD", method, "as in the schema")->required();
    app.add_option("JSON", json, "the parameters: one object")->capture_default_str();
    app.add_option("--schema", schemaName,
                   "compiled schema (capnp compile -o-), samgr or bundlemgr; without it: the name of the service");
    app.add_option("--interface", interface, "needed only if the schema has several at its top level");
  }

  kj::Promise<Report> run(Context& context) override {
    auto wrong = choose();
    KJ_IF_MAYBE (report, wrong) co_return kj::mv(*report);
    capnp::MallocMessageBuilder parameters;
    auto value = parameters.initRoot<capnp::DynamicStruct>(KJ_ASSERT_NONNULL(chosen).getParamType());
    auto misread = readJson(json.c_str(), value);
    KJ_IF_MAYBE (why, misread) {
      co_return failure(Exit::USAGE, kj::str("The parameters of ", method.c_str(), " cannot be read: ", *why),
                        kj::str("Its fields: ", fields(), "."));
    }
    auto session = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, session.tryGet<Report>()) co_return kj::mv(*report);
    auto opening = session.get<idl::PeerSession::Client>().rpcRequest();
    opening.setService(service.c_str());
    auto opened = co_await opening.send();
    auto refused = streamRefusal(opened.getOutcome(), opened.getAuditId(), peer.c_str(), denied(opened.getAuditId()));
    KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
    auto client = opened.getService().castAs<capnp::DynamicCapability>(schema);
    co_return co_await call(kj::mv(client), value.asReader());
  }

 private:
  std::string peer, service, method, json = "{}", schemaName, interface;
  LoadedInterface loaded;
  capnp::InterfaceSchema schema;
  kj::Maybe<capnp::InterfaceSchema::Method> chosen;

  kj::String denied(uint64_t auditId) {
    return kj::str("denied: no rule of \"", peer.c_str(), "\" lets this node call rpc:", service.c_str(), "; audit id ",
                   auditId, " there");
  }

  // The interface and the method of the command line, or what is wrong with them.
  kj::Maybe<Report> choose() {
    if (!isRpcServiceName(kj::arrayPtr(service.data(), service.size()))) {
      return failure(Exit::USAGE, kj::str("\"", service.c_str(), "\" is no name of a service."),
                     "1 to 40 characters: a to z, 0 to 9, '-', '.', '_'; without \"rpc:\".");
    }
    kj::StringPtr name = schemaName.empty() ? service.c_str() : schemaName.c_str();
    auto builtIn = builtInSchema(name);
    KJ_IF_MAYBE (known, builtIn) {
      schema = *known;
    } else if (schemaName.empty()) {
      return failure(Exit::USAGE, kj::str("The schema of ", service.c_str(), " is not built in."),
                     "Say which it is: --schema FILE, written by capnp compile -o- FILE.capnp.");
    } else {
      auto wrong = loadFile(name);
      KJ_IF_MAYBE (report, wrong) return kj::mv(*report);
    }
    return chooseMethod(name);
  }

  kj::Maybe<Report> loadFile(kj::StringPtr path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path.cStr(), ignored)) {
      return failure(Exit::NOT_FOUND, kj::str("There is no file \"", path, "\"."));
    }
    auto read = readSchemaFile(path);
    KJ_IF_MAYBE (wrong, read.tryGet<kj::String>()) return failure(Exit::BAD_CONFIG, kj::str(path, ": ", *wrong));
    auto wrong = loaded.load(read.get<kj::Array<kj::byte>>(), interface.c_str());
    KJ_IF_MAYBE (why, wrong) return failure(Exit::BAD_CONFIG, kj::str(path, ": ", *why));
    schema = loaded.schema();
    return nullptr;
  }

  kj::Maybe<Report> chooseMethod(kj::StringPtr schemaOrFile) {
    auto builtIn = builtInService(schemaOrFile, service.c_str(), nullptr);
    auto described = kj::mv(builtIn).orDefault([&] { return RpcService::describe(service.c_str(), nullptr, schema); });
    KJ_IF_MAYBE (wrong, described.tryGet<kj::String>()) {
      return failure(Exit::BAD_CONFIG, kj::str(schemaOrFile, ": ", *wrong));
    }
    auto& known = described.get<RpcService>();
    KJ_IF_MAYBE (m, known.find(method.c_str())) {
      KJ_IF_MAYBE (why, m->withheld) {
        return failure(Exit::USAGE, kj::str(method.c_str(), " cannot be called from another node: ", *why),
                       kj::str("These can, where a rule allows it: ", known.offered(), "."));
      }
      chosen = schema.findMethodByName(method.c_str());
      return nullptr;
    }
    return failure(Exit::USAGE, kj::str(schemaOrFile, " has no method ", method.c_str(), "."),
                   kj::str("It has: ", known.offered(), "."));
  }

  kj::String fields() {
    auto all = KJ_ASSERT_NONNULL(chosen).getParamType().getFields();
    if (all.size() == 0) return kj::str("none");
    return kj::strArray(KJ_MAP(f, all) { return kj::str(f.getProto().getName()); }, ", ");
  }

  kj::Promise<Report> call(capnp::DynamicCapability::Client client, capnp::DynamicStruct::Reader parameters) {
    auto request = client.newRequest(KJ_ASSERT_NONNULL(chosen), parameters.totalSize());
    for (auto field : parameters.getSchema().getFields()) {
      if (parameters.has(field)) request.set(field, parameters.get(field));
    }
    return request.send().then([this](auto&& answer) { return answered(answer); },
                               [](kj::Exception&& exception) { return callFailed(exception); });
  }

  Report answered(capnp::DynamicStruct::Reader answer) {
    Report report;
    auto result = jsonOf(answer);
    report.text = result.text();
    report.json = document("nexus.rpc/1");
    report.json.set("peer", clean(peer.c_str())).set("service", clean(service.c_str()));
    report.json.set("method", clean(method.c_str())).set("result", kj::mv(result));
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusRpcCommand() {
  return kj::heap<BusRpcCommand>();
}

}  // namespace nexus::ctl
