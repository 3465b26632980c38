#include "tools/nexusctl/bus-read-command.h"

#include <kj/debug.h>
#include <kj/vector.h>

#include <CLI/CLI.hpp>
#include <string>

#include "libs/oslite-frames/packagefs-frames.h"
#include "tools/nexusctl/peer-bytes.h"
#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

constexpr kj::Duration FOR_CLOSING = 1 * kj::SECONDS;

// Stat, open, read in pieces of 128 bytes, close: what packagefsd offers to other nodes.
class BusReadCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus read"_kj; }
  kj::StringPtr about() const override { return "a file of a package of a peer (its packagefsd)"_kj; }
  kj::StringPtr example() const override { return "node-b hello/1.0.0 text"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    app.add_option("PACKAGE", package, "NAME or NAME/VERSION, as the peer's store has it")->required();
    app.add_option("PATH", file, "the file in it; at most 16384 bytes are served")->required();
    app.add_option("--out", out, "write the bytes into this file, as they are (default: print them if they are text)");
  }

  // A file that was opened is closed when the time is over, too: a session has room for eight.
  bool keepsTime() const override { return true; }

  kj::Promise<Report> run(Context& context) override {
    auto& timer = context.doors.timer();
    auto timeout = context.options.timeout;
    auto end = timer.now() + timeout;
    auto late = [&timer, end, timeout] {
      return timer.atTime(end).then(
          [timeout]() -> kj::OneOf<kj::Array<kj::byte>, Report> { return timeoutReport(timeout); });
    };
    auto content = co_await fetch(context).exclusiveJoin(late());
    if (handle != nullptr) co_await close(timer);
    KJ_IF_MAYBE (report, content.tryGet<Report>()) co_return kj::mv(*report);
    auto json = document("nexus.read/1");
    json.set("peer", clean(peer.c_str())).set("path", clean(whole()));
    co_return fetchedReport(kj::mv(json), whole(), content.get<kj::Array<kj::byte>>(), out.c_str());
  }

 private:
  using Bytes = kj::Array<kj::byte>;
  std::string peer, package, file, out;
  kj::Maybe<PeerService> at;
  kj::Maybe<uint32_t> handle;  // open at the peer

  kj::String whole() const { return kj::str("pkg:/", package.c_str(), '/', file.c_str()); }

  kj::Promise<kj::OneOf<Bytes, Report>> fetch(Context& context) {
    auto name = whole();
    auto statFrame = pk::tryEncodeStat(name.asArray()), openFrame = pk::tryEncodeOpen(name.asArray());
    if (statFrame == nullptr) {
      co_return failure(Exit::USAGE, kj::str("\"", name, "\" is longer than ", pk::MAX_PATH_BYTES, " bytes."));
    }
    auto session = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, session.tryGet<Report>()) co_return kj::mv(*report);
    auto& service = at.emplace(PeerService{kj::mv(session.get<idl::PeerSession::Client>()), kj::str(peer.c_str()),
                                           kj::str("packagefsd"), context.doors.timer()});
    auto stat = co_await callService(service, "stat", kj::mv(KJ_ASSERT_NONNULL(statFrame)));
    KJ_IF_MAYBE (report, stat.tryGet<Report>()) co_return kj::mv(*report);
    auto told = checkStat(stat.get<CallAnswer>());
    KJ_IF_MAYBE (report, told) co_return kj::mv(*report);
    auto opened = co_await callService(service, "open", kj::mv(KJ_ASSERT_NONNULL(openFrame)));
    KJ_IF_MAYBE (report, opened.tryGet<Report>()) co_return kj::mv(*report);
    auto& answer = opened.get<CallAnswer>();
    KJ_IF_MAYBE (reply, pk::decodeOpenReply(answer.reply)) {
      if (reply->status != pk::Status::OK) co_return refusal(reply->status, answer.auditId);
      handle = reply->handle;
      co_return co_await readAll(service, reply->handle);
    }
    co_return notAnAnswer(service);
  }

  kj::Maybe<Report> checkStat(const CallAnswer& answer) {
    KJ_IF_MAYBE (stat, pk::decodeStatReply(answer.reply)) {
      if (stat->status != pk::Status::OK) return refusal(stat->status, answer.auditId);
      if (stat->kind == pk::KIND_FILE) return nullptr;
      return failure(Exit::USAGE, kj::str("\"", whole(), "\" is a folder at \"", peer.c_str(), "\"."),
                     "Name a file in it.");
    }
    return notAnAnswer(KJ_ASSERT_NONNULL(at));
  }

  kj::Promise<kj::OneOf<Bytes, Report>> readAll(PeerService& service, uint32_t opened) {
    kj::Vector<kj::byte> content;
    for (;;) {
      auto frame = KJ_ASSERT_NONNULL(pk::tryEncodeRead(opened, content.size(), pk::MAX_READ_BYTES));
      auto answer = co_await callService(service, "read", kj::mv(frame));
      KJ_IF_MAYBE (report, answer.tryGet<Report>()) co_return kj::mv(*report);
      auto reply = pk::decodeReadReply(answer.get<CallAnswer>().reply);
      if (reply == nullptr) co_return notAnAnswer(service);
      auto& piece = KJ_ASSERT_NONNULL(reply);
      if (piece.status != pk::Status::OK) co_return refusal(piece.status, answer.get<CallAnswer>().auditId);
      content.addAll(piece.data);
      if (piece.data.size() < pk::MAX_READ_BYTES) co_return content.releaseAsArray();
      // No peer that keeps the rules serves more.
      if (content.size() > pk::MAX_FILE_BYTES) co_return notAnAnswer(service);
    }
  }

  // Whatever the peer says to that: the file has been read.
  kj::Promise<void> close(kj::Timer& timer) {
    auto& service = KJ_ASSERT_NONNULL(at);
    service.patience = nullptr;
    co_await callService(service, "close", pk::encodeClose(KJ_ASSERT_NONNULL(handle)))
        .ignoreResult()
        .catch_([](kj::Exception&&) {})
        .exclusiveJoin(timer.afterDelay(FOR_CLOSING));
  }

  Report refusal(pk::Status status, uint64_t auditId) {
    auto quoted = kj::str('"', peer.c_str(), '"');
    switch (status) {
      case pk::Status::NOT_FOUND:
        return failure(Exit::NOT_FOUND, kj::str(quoted, " has no file \"", whole(), "\"."));
      case pk::Status::UNAUTHENTICATED:
        return explainedFailure(Exit::DENIED, kj::str(quoted, " does not trust this node."), whyThere(auditId),
                                auditId);
      case pk::Status::BAD_REQUEST:
      case pk::Status::PATH_TRAVERSAL:
      case pk::Status::NON_PACKAGEFS_SCHEME:
        return explainedFailure(Exit::USAGE, kj::str("\"", whole(), "\" is no path of a file in a package."),
                                "No part of it may be empty, \".\" or \"..\", or hold a backslash.", auditId);
      case pk::Status::OVERSIZED:
        return failure(
            Exit::OTHER,
            kj::str("\"", whole(), "\" is larger than the ", pk::MAX_FILE_BYTES, " bytes that a peer serves."),
            "The whole image of its bundles: nexusctl bus fetch-image.");
      case pk::Status::LIMIT:
        return failure(Exit::OTHER, kj::str("This node has ", pk::MAX_OPEN_HANDLES, " files open at ", quoted, "."),
                       "They are closed by those who opened them, or when the session ends. Try again later.");
      case pk::Status::BADF:
      case pk::Status::IO:
      case pk::Status::OK:
        break;
    }
    return failure(Exit::OTHER, kj::str(quoted, " could not read \"", whole(), "\" to its end."), "Try again.");
  }
};

}  // namespace

kj::Own<Command> newBusReadCommand() {
  return kj::heap<BusReadCommand>();
}

}  // namespace nexus::ctl
