#include "libs/nexus-net-os/daemon/status-server.h"

namespace nexus {

namespace {

class StatusImpl final : public idl::Status::Server {
 public:
  explicit StatusImpl(StatusSource& source) : source(source) {}

  kj::Promise<void> snapshot(SnapshotContext context) override {
    source.fill(context.getResults().initStatus());
    return kj::READY_NOW;
  }

 private:
  StatusSource& source;
};

}  // namespace

idl::Status::Client StatusSource::newServer() {
  return kj::heap<StatusImpl>(*this);
}

void StatusSource::fill(idl::DaemonStatus::Builder status) {
  auto now = report();
  status.setDaemon(daemon);
  status.setHealth(now.health);
  status.setDetail(now.detail);
  status.setUptimeMs(static_cast<uint64_t>((timer.now() - started) / kj::MILLISECONDS));
  auto list = status.initCounters(static_cast<kj::uint>(now.counters.size()));
  for (kj::uint i = 0; i < now.counters.size(); i++) {
    list[i].setName(now.counters[i].name);
    list[i].setValue(now.counters[i].value);
  }
}

}  // namespace nexus
