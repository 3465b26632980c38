#include "tools/nexusctl/bus-state-commands.h"

#include <kj/debug.h>

#include <CLI/CLI.hpp>
#include <string>

#include "libs/oslite-frames/statefs-gate.h"
#include "tools/nexusctl/peer-bytes.h"
#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

// One request to the peer's statefsd.
class StateCommand : public Command {
 public:
  StateCommand(sf::Op op, kj::StringPtr operation) : op(op), operation(operation) {}

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    declareMore(app);
  }

  kj::Promise<Report> run(Context& context) override {
    auto prepared = prepare();
    KJ_IF_MAYBE (report, prepared) co_return kj::mv(*report);
    auto frame = sf::tryEncodeRequest(request());
    if (frame == nullptr) co_return tooLong();
    auto session = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, session.tryGet<Report>()) co_return kj::mv(*report);
    PeerService at{kj::mv(session.get<idl::PeerSession::Client>()), kj::str(peer.c_str()), kj::str("statefsd")};
    auto called = co_await callService(at, operation, kj::mv(KJ_ASSERT_NONNULL(frame)));
    KJ_IF_MAYBE (report, called.tryGet<Report>()) co_return kj::mv(*report);
    auto& answer = called.get<CallAnswer>();
    auto reply = sf::decodeReply(op, answer.reply);
    KJ_IF_MAYBE (r, reply) {
      if (r->status != sf::Status::OK) co_return refusal(r->status, answer.auditId);
      co_return answered(*r, answer.reply.size());
    }
    co_return notAnAnswer(at);
  }

 protected:
  std::string peer, key;

  virtual void declareMore(CLI::App& app) {
    app.add_option("KEY", key, "below /state/shared/; that part may be left out")->required();
  }
  virtual kj::Maybe<Report> prepare() { return nullptr; }
  virtual sf::Request request() = 0;
  virtual Report answered(const sf::Reply& reply, size_t replyBytes) = 0;

  // Lives as long as the command.
  kj::StringPtr wholeKey() {
    full = key.empty() || key[0] != '/' ? kj::str(sf::REMOTE_PREFIX, key.c_str()) : kj::str(key.c_str());
    return full;
  }

  Json subject() {
    auto json = document("nexus.state/1");
    json.set("peer", clean(peer.c_str())).set("key", clean(wholeKey()));
    return json;
  }

  Report done(kj::StringPtr what) {
    Report report;
    report.json = subject();
    report.text = kj::str(clean(wholeKey()), ": ", what, '\n');
    return report;
  }

 private:
  sf::Op op;
  kj::StringPtr operation;
  kj::String full;

  static Report tooLong() {
    return failure(Exit::USAGE, kj::str("The key or the value is too long: ", sf::MAX_REMOTE_KEY_BYTES, " and ",
                                        sf::MAX_REMOTE_VALUE_BYTES, " bytes are the most."));
  }

  Report refusal(sf::Status status, uint64_t auditId) {
    auto quoted = kj::str('"', wholeKey(), '"');
    switch (status) {
      case sf::Status::NOT_FOUND:
        return failure(Exit::NOT_FOUND, kj::str("\"", peer.c_str(), "\" has no value for ", quoted, "."));
      case sf::Status::ACCESS_DENIED:
        return explainedFailure(Exit::DENIED,
                                kj::str(quoted, " is not for other nodes: only what is below ", sf::REMOTE_PREFIX,
                                        " is, whatever a rule says."),
                                whyThere(auditId), auditId);
      case sf::Status::INVALID_KEY:
      case sf::Status::MALFORMED:
        return explainedFailure(Exit::USAGE, kj::str(quoted, " is no key, or the value is empty."),
                                "No part of a key may be empty, \".\" or \"..\", or hold a backslash.", auditId);
      case sf::Status::VALUE_TOO_LARGE:
      case sf::Status::KEY_TOO_LONG:
        return tooLong();
      case sf::Status::UNSUPPORTED:
        return failure(Exit::UNSUPPORTED, kj::str("\"", peer.c_str(), "\" does not know that request."));
      case sf::Status::INTEGRITY_VIOLATION:
      case sf::Status::ROLLBACK_DETECTED:
        return failure(Exit::OTHER, kj::str("The value of ", quoted, " at \"", peer.c_str(), "\" is damaged."));
      case sf::Status::IO_ERROR:
      case sf::Status::OK:
        break;
    }
    return failure(Exit::OTHER, kj::str("The disk of \"", peer.c_str(), "\" failed."),
                   "The value may be the old one or the new one.");
  }
};

class StateGetCommand final : public StateCommand {
 public:
  StateGetCommand() : StateCommand(sf::Op::GET, "get"_kj) {}
  kj::StringPtr path() const override { return "bus state get"_kj; }
  kj::StringPtr about() const override { return "a value that a peer shares"_kj; }
  kj::StringPtr example() const override { return "node-b greeting"_kj; }

 private:
  std::string out;

  void declareMore(CLI::App& app) override {
    StateCommand::declareMore(app);
    app.add_option("--out", out, "write the bytes into this file, as they are (default: print them if they are text)");
  }
  sf::Request request() override { return {nullptr, sf::Get{wholeKey().asArray()}}; }
  Report answered(const sf::Reply& reply, size_t) override {
    return fetchedReport(subject(), wholeKey(), reply.value, out.c_str());
  }
};

class StatePutCommand final : public StateCommand {
 public:
  StatePutCommand() : StateCommand(sf::Op::PUT, "put"_kj) {}
  kj::StringPtr path() const override { return "bus state put"_kj; }
  kj::StringPtr about() const override { return "stores a value at a peer; it is on its disk when this ends"_kj; }
  kj::StringPtr example() const override { return "node-b greeting hello"_kj; }

 private:
  std::string value, file;
  kj::Array<kj::byte> bytes;

  void declareMore(CLI::App& app) override {
    StateCommand::declareMore(app);
    auto* v = app.add_option("VALUE", value, "1 to 128 bytes");
    app.add_option("--file", file, "take the value from this file instead")->excludes(v);
  }

  kj::Maybe<Report> prepare() override {
    if (file.empty()) {
      bytes = kj::heapArray<kj::byte>(kj::arrayPtr(value.data(), value.size()).asBytes());
    } else {
      auto read = readSmallFile(file.c_str(), sf::MAX_REMOTE_VALUE_BYTES);
      KJ_IF_MAYBE (wrong, read.tryGet<Report>()) return kj::mv(*wrong);
      bytes = kj::mv(read.get<kj::Array<kj::byte>>());
    }
    if (bytes.size() > 0) return nullptr;
    return failure(Exit::USAGE, "There is no value to be stored.", "Give one of 1 to 128 bytes, or --file FILE.");
  }
  sf::Request request() override { return {nullptr, sf::Put{wholeKey().asArray(), bytes}}; }
  Report answered(const sf::Reply&, size_t) override {
    auto report = done(kj::str(bytes.size(), " bytes stored"));
    report.json.set("bytes", uint64_t(bytes.size()));
    return report;
  }
};

class StateDeleteCommand final : public StateCommand {
 public:
  StateDeleteCommand() : StateCommand(sf::Op::DEL, "del"_kj) {}
  kj::StringPtr path() const override { return "bus state delete"_kj; }
  kj::StringPtr about() const override { return "deletes a value at a peer"_kj; }
  kj::StringPtr example() const override { return "node-b greeting"_kj; }

 private:
  sf::Request request() override { return {nullptr, sf::Del{wholeKey().asArray()}}; }
  Report answered(const sf::Reply&, size_t) override { return done("deleted"); }
};

class StateListCommand final : public StateCommand {
 public:
  StateListCommand() : StateCommand(sf::Op::LIST, "list"_kj) {}
  kj::StringPtr path() const override { return "bus state list"_kj; }
  kj::StringPtr about() const override { return "the keys that a peer shares, in the order of their bytes"_kj; }
  kj::StringPtr example() const override { return "node-b app/"_kj; }

 private:
  uint16_t limit = sf::MAX_REMOTE_LIST_LIMIT;

  void declareMore(CLI::App& app) override {
    app.add_option("PREFIX", key, "only keys that begin so, below /state/shared/ (default: all)");
    app.add_option("--limit", limit, "so many at most")
        ->check(CLI::Range(1, int(sf::MAX_REMOTE_LIST_LIMIT)))
        ->capture_default_str();
  }
  sf::Request request() override { return {nullptr, sf::List{wholeKey().asArray(), limit}}; }

  Report answered(const sf::Reply& reply, size_t replyBytes) override {
    Report report;
    report.json = subject();
    auto keys = Json::array();
    kj::Vector<kj::String> lines;
    for (auto& found : reply.keys) {
      keys.add(clean(kj::str(found)));
      lines.add(kj::str(clean(kj::str(found)), '\n'));
    }
    // A reply has 512 bytes; keys that do not fit are left out by the peer, which does not say so.
    bool maybeMore =
        reply.keys.size() == limit || replyBytes + 2 + sf::MAX_REMOTE_KEY_BYTES > sf::MAX_REMOTE_REPLY_BYTES;
    report.json.set("keys", kj::mv(keys)).set("maybeMore", maybeMore);
    if (lines.empty()) lines.add(kj::str("no keys below ", clean(wholeKey()), '\n'));
    if (maybeMore) lines.add(kj::str("there may be more: ask with a longer prefix\n"));
    report.text = kj::strArray(lines, "");
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusStateGetCommand() {
  return kj::heap<StateGetCommand>();
}

kj::Own<Command> newBusStatePutCommand() {
  return kj::heap<StatePutCommand>();
}

kj::Own<Command> newBusStateListCommand() {
  return kj::heap<StateListCommand>();
}

kj::Own<Command> newBusStateDeleteCommand() {
  return kj::heap<StateDeleteCommand>();
}

}  // namespace nexus::ctl
