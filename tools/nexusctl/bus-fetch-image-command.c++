#include "tools/nexusctl/bus-fetch-image-command.h"

#include <kj/filesystem.h>
#include <CLI/CLI.hpp>
#include <string>

#include "daemons/dsoftbusd/remote/image-fetch.h"
#include "daemons/dsoftbusd/remote/mux-stream-input.h"
#include "tools/nexusctl/peer-call.h"

namespace nexus::ctl {

namespace {

constexpr kj::byte BULK_PRIORITY = 6;  // other streams of the session go first

// Writes beside the file and replaces it at the end.
class FileSink final : public ImageSink {
 public:
  FileSink(kj::Own<kj::Filesystem> disk, kj::Own<kj::Directory::Replacer<kj::File>> file)
      : disk(kj::mv(disk)), file(kj::mv(file)) {}
  void write(kj::ArrayPtr<const kj::byte> bytes) override {
    file->get().write(written, bytes);
    written += bytes.size();
  }
  void commit() override {
    file->get().sync();
    file->commit();
  }

 private:
  kj::Own<kj::Filesystem> disk;  // what the replacer refers to
  kj::Own<kj::Directory::Replacer<kj::File>> file;
  uint64_t written = 0;
};

kj::OneOf<kj::Own<FileSink>, Report> openSink(kj::StringPtr path) {
  kj::Own<FileSink> sink;
  auto failure = kj::runCatchingExceptions([&] {
    auto disk = kj::newDiskFilesystem();
    auto native = disk->getCurrentPath().evalNative(path);
    auto file = disk->getRoot().replaceFile(native, kj::WriteMode::CREATE | kj::WriteMode::MODIFY);
    sink = kj::heap<FileSink>(kj::mv(disk), kj::mv(file));
  });
  KJ_IF_MAYBE (exception, failure) {
    return ctl::failure(Exit::OTHER, kj::str("\"", path, "\" cannot be written: ", exception->getDescription()),
                        "Name a file in a folder that exists and that you may write to.");
  }
  return kj::mv(sink);
}

class BusFetchImageCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus fetch-image"_kj; }
  kj::StringPtr about() const override { return "the bundle image of a peer, verified, as a file"_kj; }
  kj::StringPtr example() const override { return "node-b --out node-b.nxbi"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("PEER", peer, "name in the trust table, or device id")->required();
    app.add_option("--out", out, "the file; it is replaced only by a whole image whose hash is right")->required();
  }

  // The timeout is for the stream to be opened; a transfer takes the time that it takes, within bounds of its own.
  bool keepsTime() const override { return true; }

  kj::Promise<Report> run(Context& context) override {
    auto& timer = context.doors.timer();
    auto timeout = context.options.timeout;
    auto late = timer.afterDelay(timeout).then([timeout]() -> Opened { return timeoutReport(timeout); });
    auto opened = co_await open(context).exclusiveJoin(kj::mv(late));
    KJ_IF_MAYBE (report, opened.tryGet<Report>()) co_return kj::mv(*report);
    auto sink = openSink(out.c_str());
    KJ_IF_MAYBE (report, sink.tryGet<Report>()) co_return kj::mv(*report);
    auto result = co_await fetchImage(newMuxStreamInput(opened.get<idl::MuxStream::Client>()),
                                      *sink.get<kj::Own<FileSink>>(), timer);
    KJ_SWITCH_ONEOF(result) {
      KJ_CASE_ONEOF(fault, ImageFault) {
        co_return failure(Exit::OTHER, kj::str("No image was written: ", imageFaultText(fault), "."));
      }
      KJ_CASE_ONEOF(image, FetchedImage) {
        co_return fetched(image);
      }
    }
    KJ_UNREACHABLE;
  }

 private:
  using Opened = kj::OneOf<idl::MuxStream::Client, Report>;
  std::string peer, out;

  kj::Promise<Opened> open(Context& context) {
    auto session = co_await openPeer(context, peer.c_str());
    KJ_IF_MAYBE (report, session.tryGet<Report>()) co_return kj::mv(*report);
    auto opening = session.get<idl::PeerSession::Client>().openStreamRequest();
    auto moment = (context.doors.timer().now() - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS;
    opening.setName(kj::str("svc:bundlemgrd/fetch-image#", moment));
    opening.setPriority(BULK_PRIORITY);
    auto stream = co_await opening.send();
    auto refused = streamRefusal(stream.getOutcome(), stream.getAuditId(), peer.c_str(),
                                 kj::str('"', peer.c_str(), "\" does not let this node fetch its image."));
    KJ_IF_MAYBE (report, refused) co_return kj::mv(*report);
    co_return stream.getStream();
  }

  Report fetched(const FetchedImage& image) {
    Report report;
    report.json = document("nexus.fetch-image/1");
    report.json.set("peer", clean(peer.c_str())).set("file", clean(out.c_str())).set("bytes", image.bytes);
    report.json.set("sha256", clean(image.sha256));
    report.text = kj::str(clean(out.c_str()), ": ", image.bytes, " bytes, sha256 ", image.sha256, '\n');
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusFetchImageCommand() {
  return kj::heap<BusFetchImageCommand>();
}

}  // namespace nexus::ctl
