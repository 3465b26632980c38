#include "daemons/packagefsd/packagefsd.h"

#include <kj/debug.h>
#include <kj/refcount.h>

namespace nexus {

namespace {

// How many sessions one connection has made that are still held.
struct SessionCount : public kj::Refcounted {
  size_t now = 0;
};

using Status = idl::Packagefs::Status;

Status toIdl(pk::Status status) {
  return static_cast<Status>(status);
}

static_assert(uint16_t(Status::IO) == uint16_t(pk::Status::IO) &&
              uint16_t(Status::BAD_HANDLE) == uint16_t(pk::Status::BADF));

}  // namespace

class PackagefsServer final : public idl::Packagefs::Server {
 public:
  PackagefsServer(Packagefsd& daemon, kj::Own<SessionCount> siblings, bool counted)
      : daemon(daemon), session(daemon.files), siblings(kj::mv(siblings)), counted(counted) {
    daemon.counters.sessionsNow++;
    if (counted) this->siblings->now++;
  }
  ~PackagefsServer() noexcept(false) {
    daemon.counters.sessionsNow--;
    if (counted) siblings->now--;
  }
  KJ_DISALLOW_COPY_AND_MOVE(PackagefsServer);

  kj::Promise<void> stat(StatContext context) override {
    daemon.counters.stats++;
    auto results = context.getResults();
    auto path = pk::checkPath(context.getParams().getPath());
    if (path.is<pk::Status>()) {
      results.setStatus(toIdl(path.get<pk::Status>()));
      return kj::READY_NOW;
    }
    auto found = daemon.files.stat(path.get<pk::Path>().relative);
    if (found.is<pk::Status>()) {
      results.setStatus(noted(found.get<pk::Status>()));
      return kj::READY_NOW;
    }
    results.setSize(found.get<PackageStat>().size);
    results.setKind(found.get<PackageStat>().kind);
    return kj::READY_NOW;
  }

  kj::Promise<void> readFile(ReadFileContext context) override {
    daemon.counters.reads++;
    auto results = context.getResults();
    auto path = pk::checkPath(context.getParams().getPath());
    if (path.is<pk::Status>()) {
      results.setStatus(toIdl(path.get<pk::Status>()));
      return kj::READY_NOW;
    }
    auto content = daemon.files.read(path.get<pk::Path>().relative);
    if (content.is<pk::Status>())
      results.setStatus(noted(content.get<pk::Status>()));
    else
      results.setData(content.get<kj::Array<kj::byte>>());
    return kj::READY_NOW;
  }

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto frame = context.getParams().getFrame();
    KJ_REQUIRE(frame.size() <= pk::MAX_FRAME_BYTES, "a PK frame is at most 512 bytes", frame.size());
    daemon.counters.frames++;
    auto answer = session.handle(frame);
    if (answer.status != pk::Status::OK) daemon.counters.refusals++;
    noted(answer.status);
    context.getResults().setReply(answer.frame);
    return kj::READY_NOW;
  }

  kj::Promise<void> newSession(NewSessionContext context) override {
    if (siblings->now >= Packagefsd::MAX_SESSIONS) {
      daemon.counters.sessionsRefused++;
      return KJ_EXCEPTION(OVERLOADED, "too many package sessions on this connection", Packagefsd::MAX_SESSIONS);
    }
    context.getResults().setSession(kj::heap<PackagefsServer>(daemon, kj::addRef(*siblings), true));
    return kj::READY_NOW;
  }

 private:
  Packagefsd& daemon;
  PackageSession session;
  kj::Own<SessionCount> siblings;
  bool counted;

  Status noted(pk::Status status) {
    if (status == pk::Status::IO) daemon.counters.ioFaults++;
    return toIdl(status);
  }
};

Packagefsd::Packagefsd(PackageFiles f, kj::Timer& timer)
    : files(kj::mv(f)), statusSource("packagefsd"_kj, timer, [this] { return report(); }) {}

idl::Packagefs::Client Packagefsd::connect() {
  return kj::heap<PackagefsServer>(*this, kj::refcounted<SessionCount>(), false);
}

StatusReport Packagefsd::report() const {
  StatusReport report;
  report.detail = kj::str("serves ", counters.sessionsNow, " sessions");
  if (counters.ioFaults > 0) {
    report.health = idl::DaemonStatus::Health::DEGRADED;
    report.detail = kj::str(report.detail, "; the store could not be read ", counters.ioFaults, " times");
  }
  report.counters = kj::arr(
      NamedCounter{"packagefs.frames"_kj, counters.frames}, NamedCounter{"packagefs.refusals"_kj, counters.refusals},
      NamedCounter{"packagefs.stats"_kj, counters.stats}, NamedCounter{"packagefs.reads"_kj, counters.reads},
      NamedCounter{"store.faults"_kj, counters.ioFaults},
      NamedCounter{"packagefs.sessionsNow"_kj, counters.sessionsNow},
      NamedCounter{"packagefs.sessionsRefused"_kj, counters.sessionsRefused});
  return report;
}

}  // namespace nexus
