#include "daemons/dsoftbusd/node-link.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/transport/net-transport.h"

namespace nexus {

namespace {

constexpr kj::Duration FIRST_STACK_DELAY = 100 * kj::MILLISECONDS;
constexpr kj::Duration LARGEST_STACK_DELAY = 3 * kj::SECONDS;

}  // namespace

NodeLink::NodeLink(size_t index, kj::StringPtr name, NetworkSource& network, uint16_t sessionPort, kj::Timer& timer,
                   Bus& bus, Discovery& discovery, BusObserver& observer,
                   kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
    : index(index),
      linkName(name),
      network(network),
      sessionPort(sessionPort),
      timer(timer),
      bus(bus),
      discovery(discovery),
      observer(observer),
      lowLevel(lowLevel),
      stackState(kj::str("waits for the network stack")) {}

kj::Promise<void> NodeLink::run() {
  Backoff backoff(FIRST_STACK_DELAY, LARGEST_STACK_DELAY);
  kj::String lastTold;
  for (;;) {
    auto openedBefore = timesOpened;
    co_await kj::evalNow([this] { return runOnStack(); }).catch_([this](kj::Exception&& exception) {
      stackState = kj::str("the network stack was lost: ", exception.getDescription());
    });
    up = false;
    bus.setTransport(index, nullptr);
    if (timesOpened > openedBefore) backoff.reset();
    // The same trouble again and again is told once.
    if (timesOpened > openedBefore || lastTold != stackState) {
      KJ_LOG(WARNING, "opens the network again", linkName, stackState);
      lastTold = kj::str(stackState);
    }
    co_await timer.afterDelay(backoff.next());
  }
}

// Everything on one netstackd, until that is gone.
kj::Promise<void> NodeLink::runOnStack() {
  auto net = network.get();
  co_await waitForAddress(net);
  auto acceptor = newNetAcceptor(co_await listen(net), lowLevel);
  co_await discovery.open(index, net);
  auto transport = newNetTransport(net, lowLevel);
  timesOpened++;
  up = true;
  stackState = kj::str("listens on port ", sessionPort);
  observer.onTransportUp();
  bus.setTransport(index, *transport);
  KJ_DEFER(bus.setTransport(index, nullptr));
  co_await discovery.run(index).exclusiveJoin(bus.acceptLoop(*acceptor)).exclusiveJoin(network.whenLost());
  stackState = kj::str("the network stack ended");
}

kj::Promise<void> NodeLink::waitForAddress(idl::NetworkManager::Client net) {
  uint32_t known = 0;
  for (;;) {
    auto request = net.getConfigRequest();
    request.setKnown(known);
    auto response = co_await request.send();
    auto config = response.getConfig();
    if (config.getAddresses().size() > 0) co_return;
    stackState = kj::str("waits for an address");
    known = config.getGeneration();
  }
}

kj::Promise<idl::TcpListener::Client> NodeLink::listen(idl::NetworkManager::Client net) {
  auto request = net.createTcpListenerRequest();
  request.initLocal().initAddress().setAny();
  request.getLocal().setPort(sessionPort);
  auto response = co_await request.send();
  KJ_REQUIRE(response.getOutcome() == idl::Outcome::OK, "the session port cannot be opened", sessionPort,
             outcomeText(response.getOutcome()));
  co_return response.getListener();
}

}  // namespace nexus
