#include "tools/nexusctl/bus-streams-command.h"

#include <CLI/CLI.hpp>
#include <string>

#include "tools/nexusctl/session-refusal.h"

namespace nexus::ctl {

namespace {

kj::StringPtr stateName(idl::StreamInfo::State state) {
  switch (state) {
    case idl::StreamInfo::State::OPEN:
      return "open"_kj;
    case idl::StreamInfo::State::HALF_CLOSED_LOCAL:
      return "half-closed-local"_kj;
    case idl::StreamInfo::State::HALF_CLOSED_REMOTE:
      return "half-closed-remote"_kj;
    case idl::StreamInfo::State::CLOSED:
      return "closed"_kj;
    case idl::StreamInfo::State::RESET:
      return "reset"_kj;
  }
  return "unknown"_kj;
}

class BusStreamsCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus streams"_kj; }
  kj::StringPtr about() const override { return "open streams with a peer: credit, bytes and what waits"_kj; }
  kj::StringPtr example() const override { return "node-b"_kj; }

  void declare(CLI::App& app) override {
    auto* one = app.add_option("PEER", peer, "name in the trust table, or device id");
    app.add_flag("--all", all, "of every peer that there is a session with")->excludes(one);
  }

  kj::Promise<Report> run(Context& context) override {
    if (peer.empty() && !all) {
      co_return failure(Exit::USAGE, "Name a peer, or say --all.", "See: nexusctl bus streams --help.");
    }
    auto opened = openBus(context);
    KJ_IF_MAYBE (closed, opened.tryGet<Report>()) co_return kj::mv(*closed);
    auto& bus = opened.get<idl::DSoftBus::Client>();
    if (!all) {
      auto refused = co_await add(bus, peer.c_str());
      KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
      co_return report();
    }
    auto peers = co_await bus.peersRequest().send();
    for (auto known : peers.getPeers()) {
      // A session that ends meanwhile has no streams any more.
      if (known.getState() == idl::SessionState::READY) co_await add(bus, known.getDeviceId());
    }
    co_return report();
  }

 private:
  std::string peer;
  bool all = false;
  Json streams = Json::array();
  Table table{row("PEER", "ID", "NAME", "PRIO", "OPENED", "STATE", "SENT", "WAITS", "CREDIT", "RECEIVED", "UNREAD")};
  size_t count = 0;

  kj::Promise<kj::Maybe<Report>> add(idl::DSoftBus::Client& bus, kj::StringPtr id) {
    auto named = kj::str(id);
    auto request = bus.streamsRequest();
    request.setPeer(named);
    auto response = co_await request.send();
    if (response.getOutcome() == idl::DSoftBus::Outcome::UNREACHABLE) {
      co_return failure(Exit::NOT_FOUND, kj::str("There is no session with \"", named, "\" at the moment."),
                        "See why: nexusctl bus peers.");
    }
    auto refused = sessionRefusal(response.getOutcome(), named);
    KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
    auto called = response.getName().size() > 0 ? clean(response.getName()) : kj::str(named);
    for (auto stream : response.getStreams()) add(called, stream);
    co_return nullptr;
  }

  void add(kj::StringPtr called, idl::StreamInfo::Reader s) {
    count++;
    auto opener = s.getOpenedHere() ? "here"_kj : "there"_kj;
    bool waits = !s.getTaken() && s.getState() == idl::StreamInfo::State::OPEN;
    auto state = waits ? "not-taken"_kj : stateName(s.getState());
    table.add(row(called, s.getId(), s.getName(), s.getPriority(), opener, state, s.getSent(), s.getSendWaiting(),
                  s.getSendCredit(), s.getReceived(), s.getReceiveWaiting()));
    Json item;
    item.set("peer", called).set("id", uint64_t(s.getId())).set("name", clean(s.getName()));
    item.set("priority", int(s.getPriority())).set("openedHere", bool(s.getOpenedHere()));
    item.set("taken", bool(s.getTaken())).set("state", stateName(s.getState()));
    item.set("sent", uint64_t(s.getSent())).set("received", uint64_t(s.getReceived()));
    item.set("sendCredit", uint64_t(s.getSendCredit())).set("receiveCredit", uint64_t(s.getReceiveCredit()));
    item.set("sendWaiting", uint64_t(s.getSendWaiting())).set("receiveWaiting", uint64_t(s.getReceiveWaiting()));
    streams.add(kj::mv(item));
  }

  Report report() {
    Report report;
    report.json = document("nexus.streams/1");
    report.json.set("streams", kj::mv(streams));
    report.text = count > 0 ? table.text() : kj::str("no open streams\n");
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusStreamsCommand() {
  return kj::heap<BusStreamsCommand>();
}

}  // namespace nexus::ctl
