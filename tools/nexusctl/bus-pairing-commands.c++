#include "tools/nexusctl/bus-pairing-commands.h"

#include <CLI/CLI.hpp>
#include <string>

#include "idl/bus-trust.capnp.h"
#include "libs/nexus-net-os/base/utc.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus::ctl {

namespace {

using Outcome = idl::PairOutcome;

kj::OneOf<idl::BusTrust::Client, Report> openTrust(Context& context) {
  auto path = kj::str(context.options.run, "/bus-trust.sock");
  auto opened = context.doors.open(path);
  KJ_IF_MAYBE (reason, opened.tryGet<Closed>()) return closedReport(*reason, "dsoftbusd", path);
  return opened.get<capnp::Capability::Client>().castAs<idl::BusTrust>();
}

Exit exitOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::OK:
      return Exit::OK;
    case Outcome::BAD_NAME:
    case Outcome::BAD_PEER:
      return Exit::USAGE;
    case Outcome::REFUSED_HERE:
    case Outcome::REFUSED_THERE:
      return Exit::DENIED;
    case Outcome::TIMED_OUT:
      return Exit::TIMED_OUT;
    case Outcome::NO_TRUST_FILE:
      return Exit::BAD_CONFIG;
    default:
      return Exit::OTHER;
  }
}

kj::StringPtr remedyFor(Outcome outcome) {
  switch (outcome) {
    case Outcome::NO_TRUST_FILE:
      return "Set trustFile in the configuration of dsoftbusd, and start it again."_kj;
    case Outcome::NAME_TAKEN:
      return "Choose another name, or take that entry out of the configuration."_kj;
    case Outcome::ALREADY_TRUSTED:
      return "See: nexusctl bus trusted. To pair it anew: nexusctl bus unpair, on both nodes."_kj;
    case Outcome::BUSY:
      return "Wait until it has ended."_kj;
    case Outcome::TIMED_OUT:
      return "Run nexusctl bus pair on both nodes within the window, on one of them with --peer."_kj;
    case Outcome::REFUSED_HERE:
    case Outcome::REFUSED_THERE:
      return "Nothing was stored. If the digits did differ, somebody stood in between: check the network, then try again."_kj;
    case Outcome::FAILED:
      return "See: nexusctl bus trusted, on both nodes."_kj;
    default:
      return nullptr;
  }
}

Report refusal(Outcome outcome, kj::StringPtr reason) {
  return failure(exitOf(outcome), kj::str("Not paired: ", clean(reason), "."), remedyFor(outcome));
}

class BusPairCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus pair"_kj; }
  kj::StringPtr about() const override {
    return "trust another node, after comparing seven digits with whoever runs it"_kj;
  }
  kj::StringPtr example() const override { return "node-b --peer 9a04c2e1"_kj; }
  bool keepsTime() const override { return true; }

  void declare(CLI::App& app) override {
    app.add_option("NAME", name, "what this node shall call the other")->required();
    app.add_option("--peer", peer, "device id (or its first 8 digits) or address of the other; without it, it dials");
    app.add_option("--window", window, "how long to wait for both people, seconds")
        ->check(CLI::Range(1u, 600u))
        ->capture_default_str();
  }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openTrust(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto& console = context.doors.console();
    auto request = opened.get<idl::BusTrust::Client>().pairRequest();
    request.setName(name.c_str());
    request.setPeer(peer.c_str());
    request.setWindowMs(window * 1000);
    auto response = co_await request.send();
    if (response.getOutcome() != Outcome::OK) co_return refusal(response.getOutcome(), response.getReason());
    auto pairing = response.getPairing();
    console.say(kj::str("Waiting up to ", window, " s for the other node: run nexusctl bus pair there too.\n"));
    auto shown = co_await pairing.codeRequest().send();
    if (shown.getOutcome() != Outcome::OK) co_return refusal(shown.getOutcome(), shown.getReason());
    auto deviceId = clean(shown.getDeviceId());
    console.say(
        kj::str("device   ", deviceId, "\naddress  ", SocketAddress::fromIdl(shown.getAddress()), "\n\n         ",
                clean(shown.getCode()),
                "\n\nDoes the other node show the same digits? Ask whoever runs it, not over this network. [yes/no] "));
    auto confirm = pairing.confirmRequest();
    confirm.setSame(co_await agrees(console));
    auto done = co_await confirm.send();
    if (done.getOutcome() != Outcome::OK) co_return refusal(done.getOutcome(), done.getReason());
    Report report;
    report.json = document("nexus.pair/1");
    report.json.set("name", clean(name.c_str())).set("deviceId", deviceId);
    report.text = kj::str("Paired: this node knows ", deviceId, " as ", name.c_str(),
                          ". It gets a session once one of the two hears or dials the other (nexusctl bus peers); "
                          "what it may do, the rules of the policy for that name say.\n");
    co_return kj::mv(report);
  }

 private:
  std::string name, peer;
  unsigned window = 120;

  // Only a whole word counts; the end of the input is a no.
  static kj::Promise<bool> agrees(Console& console) {
    for (;;) {
      auto line = co_await console.readLine();
      KJ_IF_MAYBE (answer, line) {
        if (*answer == "yes") co_return true;
        if (*answer == "no") co_return false;
        console.say("Type yes or no: ");
      } else {
        co_return false;
      }
    }
  }
};

class BusUnpairCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus unpair"_kj; }
  kj::StringPtr about() const override { return "trust a paired node no more; its session ends at once"_kj; }
  kj::StringPtr example() const override { return "node-b"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
  }

  kj::Promise<Report> run(Context& context) override {
    using Unpaired = idl::BusTrust::UnpairOutcome;
    auto opened = openTrust(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto request = opened.get<idl::BusTrust::Client>().unpairRequest();
    request.setPeer(peer.c_str());
    auto called = clean(peer.c_str());
    switch ((co_await request.send()).getOutcome()) {
      case Unpaired::OK:
        break;
      case Unpaired::UNKNOWN_PEER:
        co_return failure(Exit::NOT_FOUND, kj::str("No trusted peer is \"", called, "\"."),
                          "See: nexusctl bus trusted.");
      case Unpaired::CONFIGURED:
        co_return failure(Exit::OTHER, kj::str("\"", called, "\" was not paired: it stands in the configuration."),
                          "Take its [[dsoftbusd.trust]] out of the file, then: nexusctl policy reload.");
      case Unpaired::NOT_STORED:
        co_return failure(Exit::OTHER, "The trust file could not be written, so nothing was changed.",
                          "See the log of dsoftbusd; is the disk full?");
    }
    Report report;
    report.json = document("nexus.unpair/1");
    report.json.set("peer", called);
    report.text =
        kj::str(called, " is not trusted any more. The other node still trusts this one: unpair it there too.\n");
    co_return kj::mv(report);
  }

 private:
  std::string peer;
};

class BusRekeyCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus rekey"_kj; }
  kj::StringPtr about() const override {
    return "give a paired node its next key, and accept the one it has until a time"_kj;
  }
  kj::StringPtr example() const override {
    return "node-b --device-id HEX --static-key HEX --until 2026-12-01T00:00:00Z"_kj;
  }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    app.add_option("--device-id", deviceId, "of the next key: 64 hexadecimal digits, from bus rotate there")
        ->required();
    app.add_option("--static-key", staticKey, "of the next key, likewise")->required();
    app.add_option("--until", until, "until when the key that it has is accepted too: 2026-12-01T00:00:00Z, UTC")
        ->required();
  }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openTrust(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto request = opened.get<idl::BusTrust::Client>().rekeyRequest();
    request.setPeer(peer.c_str());
    request.setDeviceId(deviceId.c_str());
    request.setStaticKey(staticKey.c_str());
    request.setUntil(until.c_str());
    auto outcome = (co_await request.send()).getOutcome();
    auto refused = refusal(outcome, utcSecondsText(context.doors.calendar().now()));
    KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
    Report report;
    auto called = clean(peer.c_str());
    report.json = document("nexus.rekey/1");
    report.json.set("peer", called).set("deviceId", deviceId.c_str()).set("previousUntil", until.c_str());
    report.text =
        kj::str(called, " may use its next key from now on, and the one that it has until ", until.c_str(), ".\n");
    co_return kj::mv(report);
  }

 private:
  using Outcome = idl::BusTrust::RekeyOutcome;
  std::string peer, deviceId, staticKey, until;

  kj::Maybe<Report> refusal(Outcome outcome, kj::StringPtr now) {
    auto called = kj::str('"', peer.c_str(), '"');
    switch (outcome) {
      case Outcome::OK:
        return nullptr;
      case Outcome::UNKNOWN_PEER:
        return failure(Exit::NOT_FOUND, kj::str("No trusted peer is ", called, "."), "See: nexusctl bus trusted.");
      case Outcome::CONFIGURED:
        return failure(Exit::OTHER, kj::str(called, " was not paired: it stands in the configuration."),
                       "Put the entry that bus rotate printed into the file, then: nexusctl policy reload.");
      case Outcome::BAD_KEY:
        return failure(Exit::USAGE, "--device-id and --static-key have 64 hexadecimal digits each.",
                       "nexusctl bus rotate prints both, on the node whose key it is.");
      case Outcome::SAME_KEY:
        return failure(Exit::OTHER, kj::str("That is the key of ", called, " already."), "See: nexusctl bus trusted.");
      case Outcome::ALREADY_TRUSTED:
        return failure(Exit::OTHER, "That device is trusted already, under another name.",
                       "See: nexusctl bus trusted.");
      case Outcome::BAD_TIME:
        return failure(Exit::USAGE,
                       kj::str("--until: \"", until.c_str(), "\" is no time to come; here it is ", now, "."),
                       "Write it in UTC, to the second.");
      case Outcome::NOT_STORED:
        return failure(Exit::OTHER, "The trust file could not be written, so nothing was changed.",
                       "See the log of dsoftbusd; is the disk full?");
    }
    return failure(Exit::UNSUPPORTED, "The daemon answered with an outcome that this nexusctl does not know.");
  }
};

class BusTrustedCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus trusted"_kj; }
  kj::StringPtr about() const override { return "whom this node trusts, and since what: configuration or pairing"_kj; }
  kj::StringPtr example() const override { return ""_kj; }

  kj::Promise<Report> run(Context& context) override {
    auto opened = openTrust(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto response = co_await opened.get<idl::BusTrust::Client>().listRequest().send();
    Report report;
    report.json = document("nexus.trusted/1");
    auto list = Json::array();
    Table table(row("PEER", "ORIGIN", "DEVICE ID", "GRACE"));
    for (auto peer : response.getPeers()) {
      auto name = clean(peer.getName()), deviceId = clean(peer.getDeviceId());
      kj::StringPtr origin = peer.getOrigin() == idl::BusTrust::Origin::PAIRING ? "pairing"_kj : "configuration"_kj;
      bool grace = peer.getPreviousDeviceId().size() > 0;
      Json item;
      item.set("name", name)
          .set("deviceId", deviceId)
          .set("staticKey", clean(peer.getStaticKey()))
          .set("origin", origin);
      if (grace) item.set("previousDeviceId", clean(peer.getPreviousDeviceId())).set("graceMs", peer.getGraceMs());
      list.add(kj::mv(item));
      table.add(row(name, origin, deviceId,
                    grace ? kj::str(peer.getPreviousDeviceId().slice(0, 8), ".. for ", durationText(peer.getGraceMs()))
                          : kj::String()));
    }
    report.json.set("peers", kj::mv(list)).set("most", uint64_t(response.getMost()));
    report.json.set("trustFile", clean(response.getTrustFile()));
    report.text = table.text();
    co_return kj::mv(report);
  }
};

}  // namespace

kj::Own<Command> newBusPairCommand() {
  return kj::heap<BusPairCommand>();
}

kj::Own<Command> newBusUnpairCommand() {
  return kj::heap<BusUnpairCommand>();
}

kj::Own<Command> newBusRekeyCommand() {
  return kj::heap<BusRekeyCommand>();
}

kj::Own<Command> newBusTrustedCommand() {
  return kj::heap<BusTrustedCommand>();
}

}  // namespace nexus::ctl
