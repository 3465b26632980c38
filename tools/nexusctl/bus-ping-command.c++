#include "tools/nexusctl/bus-ping-command.h"

#include <CLI/CLI.hpp>
#include <string>

#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

constexpr unsigned MAX_PINGS = 1000;
constexpr auto PAYLOAD = "nexusctl"_kj;

class BusPingCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus ping"_kj; }
  kj::StringPtr about() const override { return "round trips through the session with a peer"_kj; }
  kj::StringPtr example() const override { return "node-b --count 3"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    app.add_option("--count", count, "how many, one after the other")
        ->check(CLI::Range(1u, MAX_PINGS))
        ->capture_default_str();
  }

  kj::Promise<Report> run(Context& context) override {
    auto opened = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, opened.tryGet<Report>()) co_return kj::mv(*report);
    auto session = opened.get<idl::PeerSession::Client>();
    kj::Vector<uint64_t> roundTrips;
    for (unsigned i = 0; i < count; i++) {
      auto ping = session.pingRequest();
      ping.setPayload(PAYLOAD.asBytes());
      auto pong = co_await ping.send();
      if (pong.getPayload() != PAYLOAD.asBytes()) co_return failure(Exit::OTHER, "The peer answered with other bytes.");
      roundTrips.add(pong.getRoundTripUs());
    }
    co_return report(roundTrips);
  }

 private:
  std::string peer;
  unsigned count = 1;

  Report report(kj::ArrayPtr<const uint64_t> roundTrips) {
    Report report;
    report.json = document("nexus.ping/1");
    auto list = Json::array();
    kj::Vector<kj::String> lines;
    for (auto us : roundTrips) {
      list.add(us);
      lines.add(kj::str(clean(peer.c_str()), ": ", us, " us\n"));
    }
    report.json.set("peer", clean(peer.c_str())).set("roundTripUs", kj::mv(list));
    report.text = kj::strArray(lines, "");
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusPingCommand() {
  return kj::heap<BusPingCommand>();
}

}  // namespace nexus::ctl
