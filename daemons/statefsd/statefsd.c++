#include "daemons/statefsd/statefsd.h"

#include <kj/debug.h>

namespace nexus {

namespace {

using Frame = kj::Array<kj::byte>;
using Status = idl::Statefs::Status;
static_assert(uint16_t(Status::ROLLBACK_DETECTED) == uint16_t(sf::Status::ROLLBACK_DETECTED) &&
              uint16_t(Status::MALFORMED) == uint16_t(sf::Status::MALFORMED));

Status toIdl(sf::Status status) {
  return static_cast<Status>(status);
}

class StatefsServer final : public idl::Statefs::Server {
 public:
  explicit StatefsServer(Statefsd& daemon) : daemon(daemon) {}

  kj::Promise<void> put(PutContext context) override {
    auto params = context.getParams();
    context.getResults().setStatus(toIdl(put(params.getKey(), params.getValue())));
    return kj::READY_NOW;
  }

  kj::Promise<void> get(GetContext context) override {
    auto value = get(context.getParams().getKey());
    if (value.is<sf::Status>())
      context.getResults().setStatus(toIdl(value.get<sf::Status>()));
    else
      context.getResults().setValue(value.get<Frame>());
    return kj::READY_NOW;
  }

  kj::Promise<void> delete_(DeleteContext context) override {
    context.getResults().setStatus(toIdl(del(context.getParams().getKey())));
    return kj::READY_NOW;
  }

  kj::Promise<void> list(ListContext context) override {
    auto params = context.getParams();
    auto limit = kj::max(uint16_t(1), kj::min(params.getLimit(), sf::MAX_LIST_LIMIT));
    daemon.counters.lists++;
    auto found = daemon.store.list(params.getPrefix(), limit);
    auto keys = context.getResults().initKeys(found.size());
    for (auto i : kj::indices(found)) keys.set(i, found[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> sync(SyncContext context) override {
    context.getResults().setStatus(toIdl(daemon.noted(daemon.store.sync())));
    return kj::READY_NOW;
  }

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto params = context.getParams();
    auto frame = params.getFrame();
    KJ_REQUIRE(frame.size() <= sf::MAX_REQUEST_BYTES, "an SF frame is at most 65809 bytes", frame.size());
    daemon.counters.frames++;
    context.getResults().setReply(answer(frame, params.getMaxReplyBytes()));
    return kj::READY_NOW;
  }

 private:
  Statefsd& daemon;

  sf::Status put(kj::ArrayPtr<const char> key, sf::Value value) {
    daemon.counters.puts++;
    return daemon.noted(daemon.store.put(key, value));
  }

  kj::OneOf<Frame, sf::Status> get(kj::ArrayPtr<const char> key) {
    daemon.counters.gets++;
    auto value = daemon.store.get(key);
    if (value.is<sf::Status>()) daemon.noted(value.get<sf::Status>());
    return value;
  }

  sf::Status del(kj::ArrayPtr<const char> key) {
    daemon.counters.deletes++;
    return daemon.noted(daemon.store.del(key));
  }

  Frame answer(kj::ArrayPtr<const kj::byte> frame, size_t maxReplyBytes) {
    auto decoded = sf::decodeRequest(frame);
    if (decoded.is<sf::Fault>()) {
      daemon.counters.faults++;
      return sf::encodeFault(decoded.get<sf::Fault>());
    }
    auto& request = decoded.get<sf::Request>();
    KJ_SWITCH_ONEOF(request.body) {
      KJ_CASE_ONEOF(r, sf::Put) {
        return sf::encodeStatusReply(sf::Op::PUT, request.nonce, put(r.key, r.value));
      }
      KJ_CASE_ONEOF(r, sf::Get) {
        auto value = get(r.key);
        if (value.is<Frame>()) return sf::encodeGetReply(request.nonce, value.get<Frame>());
        return sf::encodeStatusReply(sf::Op::GET, request.nonce, value.get<sf::Status>());
      }
      KJ_CASE_ONEOF(r, sf::Del) {
        return sf::encodeStatusReply(sf::Op::DEL, request.nonce, del(r.key));
      }
      KJ_CASE_ONEOF(r, sf::List) {
        daemon.counters.lists++;
        auto found = daemon.store.list(r.prefix, r.limit);
        auto keys = KJ_MAP(k, found)->sf::Key {
          return k;
        };
        return sf::encodeListReply(request.nonce, keys, maxReplyBytes);
      }
      KJ_CASE_ONEOF(r, sf::Sync) {
        return sf::encodeStatusReply(sf::Op::SYNC, request.nonce, daemon.noted(daemon.store.sync()));
      }
      KJ_CASE_ONEOF(r, sf::Reopen) {
        return sf::encodeStatusReply(sf::Op::REOPEN, request.nonce, daemon.noted(daemon.store.reopen()));
      }
    }
    KJ_UNREACHABLE;
  }
};

}  // namespace

Statefsd::Statefsd(StateStore s, kj::Timer& timer)
    : store(kj::mv(s)), statusSource("statefsd"_kj, timer, [this] { return report(); }) {}

idl::Statefs::Client Statefsd::connect() {
  return kj::heap<StatefsServer>(*this);
}

sf::Status Statefsd::noted(sf::Status status) {
  if (status == sf::Status::IO_ERROR) counters.ioErrors++;
  if (status == sf::Status::INTEGRITY_VIOLATION) counters.integrityViolations++;
  return status;
}

StatusReport Statefsd::report() const {
  StatusReport report;
  report.detail = kj::str("keeps ", store.keyCount(), " keys");
  if (counters.ioErrors > 0 || counters.integrityViolations > 0 || store.damagedCount() > 0) {
    report.health = idl::DaemonStatus::Health::DEGRADED;
    report.detail = kj::str(report.detail, "; ", store.damagedCount(), " records are damaged, the disk refused ",
                            counters.ioErrors, " times, ", counters.integrityViolations, " values were not whole");
  }
  report.counters = kj::arr(
      NamedCounter{"store.keysNow"_kj, store.keyCount()}, NamedCounter{"store.damagedNow"_kj, store.damagedCount()},
      NamedCounter{"store.ioErrors"_kj, counters.ioErrors},
      NamedCounter{"store.integrityViolations"_kj, counters.integrityViolations},
      NamedCounter{"statefs.puts"_kj, counters.puts}, NamedCounter{"statefs.gets"_kj, counters.gets},
      NamedCounter{"statefs.deletes"_kj, counters.deletes}, NamedCounter{"statefs.lists"_kj, counters.lists},
      NamedCounter{"statefs.frames"_kj, counters.frames}, NamedCounter{"statefs.frameFaults"_kj, counters.faults});
  return report;
}

}  // namespace nexus
