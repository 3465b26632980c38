#pragma once
// idl Supervisor over a Supervision: what the selftest of a test guest may see and do. Owned by initd, served on a
// socket of that one user.
#include <kj/function.h>

#include "daemons/initd/order-book.h"
#include "daemons/initd/supervision.h"
#include "idl/supervisor.capnp.h"
#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus {

class SupervisorServer final : public idl::Supervisor::Server {
 public:
  // `tell` takes what the selftest has to say: its results, its traffic.
  using Tell = kj::Function<void(const StatusMessage&)>;

  SupervisorServer(Supervision& supervision, OrderBook& orders, Tell tell)
      : supervision(supervision), orders(orders), onTell(kj::mv(tell)) {}

  kj::Promise<void> services(ServicesContext context) override;
  kj::Promise<void> kill(KillContext context) override;
  kj::Promise<void> whenRestarted(WhenRestartedContext context) override;
  kj::Promise<void> report(ReportContext context) override;
  kj::Promise<void> order(OrderContext context) override;
  kj::Promise<void> tell(TellContext context) override;

 private:
  Supervision& supervision;
  OrderBook& orders;
  Tell onTell;
};

}  // namespace nexus
