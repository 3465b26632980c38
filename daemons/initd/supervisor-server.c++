#include "daemons/initd/supervisor-server.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<void> SupervisorServer::services(ServicesContext context) {
  auto snapshot = supervision.snapshot();
  auto list = context.getResults().initServices(snapshot.size());
  for (size_t i = 0; i < snapshot.size(); i++) {
    list[i].setName(snapshot[i].name);
    list[i].setPid(snapshot[i].pid);
    list[i].setStarts(snapshot[i].starts);
    list[i].setLastExit(snapshot[i].lastExit);
  }
  return kj::READY_NOW;
}

kj::Promise<void> SupervisorServer::kill(KillContext context) {
  context.getResults().setFound(supervision.kill(context.getParams().getName()));
  return kj::READY_NOW;
}

kj::Promise<void> SupervisorServer::whenRestarted(WhenRestartedContext context) {
  auto params = context.getParams();
  auto starts = co_await supervision.whenRestarted(params.getName(), params.getAfterStarts());
  context.getResults().setStarts(starts);
}

kj::Promise<void> SupervisorServer::report(ReportContext context) {
  auto params = context.getParams();
  onTell(StatusStep{kj::str(params.getStep()), params.getOk(), kj::str(params.getDetail())});
  return kj::READY_NOW;
}

kj::Promise<void> SupervisorServer::order(OrderContext context) {
  auto order = co_await orders.next(context.getParams().getAfter());
  context.getResults().setOrder(order.text());
}

kj::Promise<void> SupervisorServer::tell(TellContext context) {
  auto text = context.getParams().getMessage();
  auto message = parseStatus(text.asArray());
  KJ_IF_MAYBE (m, message) {
    KJ_REQUIRE(m->is<StatusTraffic>() || m->is<StatusChaos>(), "the selftest tells of traffic and chaos only", text);
    onTell(*m);
  } else {
    KJ_FAIL_REQUIRE("not a message of the status channel", text);
  }
  return kj::READY_NOW;
}

}  // namespace nexus
