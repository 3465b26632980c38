#include "tools/nexusctl/bus-service-commands.h"

#include <kj/debug.h>

#include <CLI/CLI.hpp>
#include <string>

#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

constexpr kj::byte MANY = 255;  // of installed versions: so many or more

// Names are byte strings on the wire.
kj::ArrayPtr<const char> chars(const std::string& text) {
  return kj::arrayPtr(text.data(), text.size());
}

// A question to one service of a peer: one frame out, one reply in.
class ServiceQuestion : public Command {
 public:
  ServiceQuestion(kj::StringPtr service, kj::StringPtr operation) : service(service), operation(operation) {}

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    declareMore(app);
  }

  kj::Promise<Report> run(Context& context) override {
    auto question = frame();
    if (question == nullptr) {
      co_return failure(Exit::USAGE, "The name has no byte, or more than 48, the most that a request has room for.");
    }
    auto session = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, session.tryGet<Report>()) co_return kj::mv(*report);
    PeerService at{kj::mv(session.get<idl::PeerSession::Client>()), kj::str(peer.c_str()), kj::str(service)};
    auto answer = co_await callService(at, operation, kj::mv(KJ_ASSERT_NONNULL(question)));
    KJ_IF_MAYBE (report, answer.tryGet<Report>()) co_return kj::mv(*report);
    auto understood = read(answer.get<CallAnswer>().reply);
    KJ_IF_MAYBE (report, understood) co_return kj::mv(*report);
    co_return notAnAnswer(at);
  }

 protected:
  std::string peer;

  virtual void declareMore(CLI::App& app) {}
  virtual kj::Maybe<kj::Array<kj::byte>> frame() = 0;
  // Null: that is no reply to it.
  virtual kj::Maybe<Report> read(kj::ArrayPtr<const kj::byte> reply) = 0;

  Report answerAs(kj::StringPtr schema) {
    Report report;
    report.json = document(schema);
    report.json.set("peer", clean(peer.c_str()));
    return report;
  }

 private:
  kj::StringPtr service, operation;
};

class BusResolveCommand final : public ServiceQuestion {
 public:
  BusResolveCommand() : ServiceQuestion("samgrd"_kj, "resolve-status"_kj) {}

  kj::StringPtr path() const override { return "bus resolve"_kj; }
  kj::StringPtr about() const override { return "whether a service is registered at a peer (its samgrd)"_kj; }
  kj::StringPtr example() const override { return "node-b bundlemgrd"_kj; }

 private:
  std::string name;

  void declareMore(CLI::App& app) override {
    app.add_option("SERVICE", name, "the name to look up: 1 to 48 bytes")->required();
  }
  kj::Maybe<kj::Array<kj::byte>> frame() override { return sm::tryEncodeResolveStatus(chars(name)); }

  kj::Maybe<Report> read(kj::ArrayPtr<const kj::byte> bytes) override {
    auto reply = sm::decodeReply(bytes, sm::Op::RESOLVE_STATUS);
    KJ_IF_MAYBE (r, reply) {
      if (r->status == sm::Status::NOT_FOUND) {
        return failure(Exit::NOT_FOUND, kj::str("No \"", name.c_str(), "\" is registered at \"", peer.c_str(), "\"."));
      }
      if (r->status != sm::Status::OK) return nullptr;
      auto report = answerAs("nexus.resolve/1");
      report.json.set("service", clean(name.c_str())).set("registered", true);
      report.text = kj::str(clean(name.c_str()), " is registered at ", clean(peer.c_str()), '\n');
      return kj::mv(report);
    }
    return nullptr;
  }
};

class BusListCommand final : public ServiceQuestion {
 public:
  BusListCommand() : ServiceQuestion("bundlemgrd"_kj, "list"_kj) {}

  kj::StringPtr path() const override { return "bus list"_kj; }
  kj::StringPtr about() const override { return "how many bundles are installed at a peer (its bundlemgrd)"_kj; }
  kj::StringPtr example() const override { return "node-b"_kj; }

 private:
  kj::Maybe<kj::Array<kj::byte>> frame() override { return bn::encodeList(); }

  kj::Maybe<Report> read(kj::ArrayPtr<const kj::byte> bytes) override {
    auto reply = bn::decodeListReply(bytes);
    KJ_IF_MAYBE (r, reply) {
      if (r->status != bn::Status::OK) return nullptr;
      auto report = answerAs("nexus.bundles/1");
      report.json.set("bundles", uint64_t(r->count));
      report.text = kj::str(clean(peer.c_str()), ": ", r->count, r->count == 1 ? " bundle\n" : " bundles\n");
      return kj::mv(report);
    }
    return nullptr;
  }
};

class BusQueryCommand final : public ServiceQuestion {
 public:
  BusQueryCommand() : ServiceQuestion("bundlemgrd"_kj, "query"_kj) {}

  kj::StringPtr path() const override { return "bus query"_kj; }
  kj::StringPtr about() const override { return "which version of a bundle is installed at a peer"_kj; }
  kj::StringPtr example() const override { return "node-b hello"_kj; }

 private:
  std::string name;

  void declareMore(CLI::App& app) override { app.add_option("BUNDLE", name, "its name: 1 to 48 bytes")->required(); }
  kj::Maybe<kj::Array<kj::byte>> frame() override { return bn::tryEncodeQuery(chars(name)); }

  kj::Maybe<Report> read(kj::ArrayPtr<const kj::byte> bytes) override {
    auto reply = bn::decodeQueryReply(bytes);
    KJ_IF_MAYBE (r, reply) {
      if (r->status != bn::Status::OK) return nullptr;
      if (r->installed == 0) {
        return failure(Exit::NOT_FOUND,
                       kj::str("No bundle \"", name.c_str(), "\" is installed at \"", peer.c_str(), "\"."));
      }
      auto version = clean(kj::str(r->version));
      auto report = answerAs("nexus.bundle/1");
      report.json.set("bundle", clean(name.c_str())).set("installed", uint64_t(r->installed)).set("version", version);
      auto number = r->installed == MANY ? kj::str("255 or more versions") : kj::str(r->installed, " versions");
      auto others = r->installed == 1 ? kj::String() : kj::str(", the last of ", number);
      report.text = kj::str(clean(name.c_str()), ' ', version, others, '\n');
      return kj::mv(report);
    }
    return nullptr;
  }
};

}  // namespace

kj::Own<Command> newBusResolveCommand() {
  return kj::heap<BusResolveCommand>();
}

kj::Own<Command> newBusListCommand() {
  return kj::heap<BusListCommand>();
}

kj::Own<Command> newBusQueryCommand() {
  return kj::heap<BusQueryCommand>();
}

}  // namespace nexus::ctl
