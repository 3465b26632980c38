#include "daemons/bundlemgrd/bundlemgrd.h"

#include <kj/debug.h>

#include "libs/oslite-frames/bundlemgr-frames.h"

namespace nexus {

namespace {

using Frame = kj::Array<kj::byte>;

struct Found {
  uint32_t installed = 0;
  kj::String version;
};

// A listing is ordered by name, then version.
Found findBundle(const StoreListing& listing, kj::ArrayPtr<const char> name) {
  Found found;
  for (auto& bundle : listing.bundles) {
    if (bundle.name.asArray() != name) continue;
    found.installed++;
    found.version = kj::str(bundle.version);
  }
  return found;
}

class BundlemgrServer final : public idl::Bundlemgr::Server {
 public:
  explicit BundlemgrServer(Bundlemgrd& bundlemgrd) : bundlemgrd(bundlemgrd) {}

  kj::Promise<void> list(ListContext context) override {
    auto listing = bundlemgrd.list();
    auto bundles = context.getResults().initBundles(listing.bundles.size());
    for (auto i : kj::indices(listing.bundles)) {
      bundles[i].setName(listing.bundles[i].name);
      bundles[i].setVersion(listing.bundles[i].version);
      bundles[i].setFiles(listing.bundles[i].files);
      bundles[i].setBytes(listing.bundles[i].bytes);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> fetchImage(FetchImageContext context) override {
    context.getResults().setImage(bundlemgrd.image());
    return kj::READY_NOW;
  }

  kj::Promise<void> query(QueryContext context) override {
    auto found = findBundle(bundlemgrd.list(), context.getParams().getName());
    context.getResults().setInstalled(found.installed);
    context.getResults().setVersion(found.version);
    return kj::READY_NOW;
  }

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto frame = context.getParams().getFrame();
    KJ_REQUIRE(frame.size() <= bn::MAX_FRAME_BYTES, "a BN frame is at most 512 bytes", frame.size());
    bundlemgrd.counters.frames++;
    context.getResults().setReply(answer(bn::decodeRequest(frame)));
    return kj::READY_NOW;
  }

 private:
  Bundlemgrd& bundlemgrd;

  Frame answer(bn::Request request) {
    KJ_SWITCH_ONEOF(request) {
      KJ_CASE_ONEOF(r, bn::List) {
        return fromStore(bn::Op::LIST, [&] { return bn::encodeListReply(bundlemgrd.list().bundles.size()); });
      }
      // No router stands beside this daemon, so there is no route to report: status OK with the route status of "no
      // answer".
      KJ_CASE_ONEOF(r, bn::Route) return bn::encodeRouteReply(bn::RouteStatus::NO_ANSWER);
      KJ_CASE_ONEOF(r, bn::FetchImage) {
        return fromStore(bn::Op::FETCH_IMAGE, [&] { return bn::encodeImageReply(bundlemgrd.image()); });
      }
      KJ_CASE_ONEOF(r, bn::Query) {
        return fromStore(bn::Op::QUERY, [&] {
          auto found = findBundle(bundlemgrd.list(), r.name);
          return bn::encodeQueryReply(kj::min(found.installed, uint32_t(UINT8_MAX)), found.version.asArray());
        });
      }
      KJ_CASE_ONEOF(fault, bn::Fault) {
        bundlemgrd.counters.faults++;
        return bn::encodeFault(fault);
      }
    }
    KJ_UNREACHABLE;
  }

  // BN has no status for a store that cannot be read; UNSUPPORTED tells the client that the frame was right and that it
  // was not done.
  template <typename Make>
  Frame fromStore(bn::Op op, Make&& make) {
    Frame reply;
    auto failure = kj::runCatchingExceptions([&] { reply = make(); });
    KJ_IF_MAYBE (exception, failure) {
      KJ_LOG(WARNING, "a frame was refused", exception->getDescription());
      return bn::encodeFault(op, bn::Status::UNSUPPORTED);
    }
    return reply;
  }
};

}  // namespace

Bundlemgrd::Bundlemgrd(BundleStore s, kj::Timer& timer)
    : store(kj::mv(s)), statusSource("bundlemgrd", timer, [this] { return report(); }) {
  noteRefused(store.list());
}

idl::Bundlemgr::Client Bundlemgrd::connect() {
  return kj::heap<BundlemgrServer>(*this);
}

StoreListing Bundlemgrd::list() {
  counters.lists++;
  KJ_ON_SCOPE_FAILURE(counters.storeFaults++);
  auto listing = store.list();
  noteRefused(listing);
  return listing;
}

kj::Array<kj::byte> Bundlemgrd::image() {
  counters.images++;
  KJ_ON_SCOPE_FAILURE(counters.storeFaults++);
  return store.image();
}

void Bundlemgrd::noteRefused(const StoreListing& listing) {
  if (listing.refused.size() != refusedNow) {
    for (auto& bundle : listing.refused) KJ_LOG(WARNING, "a bundle is left out", bundle.name, bundle.reason);
  }
  refusedNow = listing.refused.size();
}

StatusReport Bundlemgrd::report() {
  StatusReport report;
  size_t bundles = 0;
  auto failure = kj::runCatchingExceptions([&] {
    auto listing = store.list();
    noteRefused(listing);
    bundles = listing.bundles.size();
    report.detail = kj::str("serves ", bundles, " bundles, refuses ", refusedNow);
  });
  KJ_IF_MAYBE (exception, failure) report.detail = kj::str(exception->getDescription());
  if (failure != nullptr || refusedNow > 0) report.health = idl::DaemonStatus::Health::DEGRADED;
  report.counters = kj::arr(
      NamedCounter{"store.bundlesNow"_kj, bundles}, NamedCounter{"store.refusedNow"_kj, refusedNow},
      NamedCounter{"store.faults"_kj, counters.storeFaults}, NamedCounter{"bundlemgr.lists"_kj, counters.lists},
      NamedCounter{"bundlemgr.images"_kj, counters.images}, NamedCounter{"bundlemgr.frames"_kj, counters.frames},
      NamedCounter{"bundlemgr.frameFaults"_kj, counters.faults});
  return report;
}

}  // namespace nexus
