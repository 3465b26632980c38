#include "tests/sim/sim-tcp.h"

#include <kj/debug.h>

namespace nexus::sim {

namespace {

constexpr size_t WINDOW = 65536;      // bytes not yet read by the peer
constexpr size_t MAX_SEND = 65536;    // bytes a call
constexpr size_t MAX_SEGMENT = 1460;  // so that reads see pieces, as on a real link

class SimTcpSocket final : public idl::TcpSocket::Server {
 public:
  SimTcpSocket(kj::Own<TcpPair> pair, kj::uint side, ClientQuota::Ticket ticket, const NetLimits& limits)
      : pair(kj::mv(pair)), side(side), ticket(kj::mv(ticket)), limits(limits) {}
  ~SimTcpSocket() noexcept(false) { pair->drop(side); }

  kj::Promise<void> send(SendContext context) override {
    auto data = context.getParams().getData();
    KJ_REQUIRE(data.size() <= MAX_SEND, "at most 65536 bytes a call", data.size());
    auto bytes = kj::heapArray(data.asConst());
    context.releaseParams();
    return pair->send(side, kj::mv(bytes));
  }

  kj::Promise<void> recv(RecvContext context) override {
    auto maxBytes = context.getParams().getMaxBytes();
    KJ_REQUIRE(maxBytes > 0, "a read of no bytes");
    if (pair->readersWaiting(side) >= limits.pendingCalls)
      return KJ_EXCEPTION(OVERLOADED, "too many calls wait on this socket");
    return pair->recv(side, kj::min(maxBytes, limits.maxReadBytes)).then([context](kj::Array<kj::byte> bytes) mutable {
      context.getResults().setData(bytes);
    });
  }

  kj::Promise<void> close(CloseContext) override {
    pair->shutdown(side);
    return kj::READY_NOW;
  }

  kj::Promise<void> addresses(AddressesContext context) override {
    auto results = context.getResults();
    pair->address(side).toIdl(results.initLocal());
    pair->address(1 - side).toIdl(results.initRemote());
    return kj::READY_NOW;
  }

 private:
  kj::Own<TcpPair> pair;
  kj::uint side;
  ClientQuota::Ticket ticket;
  NetLimits limits;
};

class SimTcpListener final : public idl::TcpListener::Server {
 public:
  SimTcpListener(kj::Own<TcpListenerState> state, kj::Own<ClientQuota> quota, ClientQuota::Ticket ticket)
      : state(kj::mv(state)), quota(kj::mv(quota)), ticket(kj::mv(ticket)) {}
  ~SimTcpListener() noexcept(false) { state->close(); }

  kj::Promise<void> accept(AcceptContext context) override {
    if (state->acceptors.size() >= quota->limits.pendingCalls)
      return KJ_EXCEPTION(OVERLOADED, "too many calls wait on this listener");
    return acceptOne(context);
  }

  kj::Promise<void> close(CloseContext) override {
    state->close();
    return kj::READY_NOW;
  }

 private:
  kj::Own<TcpListenerState> state;
  kj::Own<ClientQuota> quota;
  ClientQuota::Ticket ticket;

  kj::Promise<void> acceptOne(AcceptContext context) {
    auto pair = co_await state->accept();
    KJ_ON_SCOPE_FAILURE(state->giveBack(kj::mv(pair)));  // no room for it: somebody may accept it later
    auto socketTicket = quota->take(ClientQuota::Kind::TCP_SOCKET);
    auto results = context.getResults();
    pair->address(0).toIdl(results.initRemote());
    pair->address(1).toIdl(results.initLocal());
    results.setSocket(newTcpSocket(kj::mv(pair), 1, kj::mv(socketTicket), quota->limits));
  }
};

}  // namespace

TcpPair::TcpPair(Fabric& fabric, Registry& registry, Node& from, SocketAddress fromAddress, Node& to,
                 SocketAddress toAddress)
    : fabric(fabric),
      registry(registry),
      entry(registry.insert(registry.end(), this)),
      id(++fabric.connections),
      sides{{from, fromAddress}, {to, toAddress}} {}

kj::Promise<void> TcpPair::send(kj::uint side, kj::Array<kj::byte> data) {
  auto self = kj::addRef(*this);
  auto& mine = sides[side];
  auto& theirs = sides[1 - side];
  WaitQueue::Turn turn(mine.writers);
  size_t sent = 0;
  for (;;) {
    if (broken) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "connection reset"));
    if (turn.isFirst()) {
      KJ_REQUIRE(!mine.finSent, "the sending side was closed");
      while (sent < data.size() && theirs.unread < WINDOW) {
        size_t amount = kj::min(kj::min(data.size() - sent, WINDOW - theirs.unread), MAX_SEGMENT);
        KJ_IF_MAYBE (wire, fabric.wire) amount = wire->segmentSize(amount);
        theirs.unread += amount;
        transmit(side, {kj::heapArray<kj::byte>(data.slice(sent, sent + amount)), false});
        sent += amount;
      }
      if (sent == data.size()) co_return;
    }
    co_await turn.wait();
  }
}

kj::Promise<kj::Array<kj::byte>> TcpPair::recv(kj::uint side, size_t maxBytes) {
  auto self = kj::addRef(*this);
  auto& mine = sides[side];
  WaitQueue::Turn turn(mine.readers);
  while (!broken && !(turn.isFirst() && (mine.finArrived || !mine.received.empty()))) co_await turn.wait();
  if (broken) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "connection reset"));
  if (mine.received.empty()) co_return nullptr;  // the peer's end of file

  auto& front = mine.received.front();
  size_t amount = kj::min(maxBytes, front.size() - mine.taken);
  auto bytes = kj::heapArray<kj::byte>(front.slice(mine.taken, mine.taken + amount));
  mine.taken += amount;
  mine.unread -= amount;
  if (mine.taken == front.size()) {
    mine.received.pop_front();
    mine.taken = 0;
  }
  sides[1 - side].writers.wake();
  co_return kj::mv(bytes);
}

void TcpPair::shutdown(kj::uint side) {
  if (sides[side].finSent || broken) return;
  sides[side].finSent = true;
  transmit(side, {nullptr, true});
}

void TcpPair::drop(kj::uint side) {
  auto& mine = sides[side];
  mine.gone = true;
  if (mine.vanished) return;
  if (!mine.received.empty()) {
    reset();
  } else {
    shutdown(side);
  }
}

void TcpPair::vanish(const Node& node) {
  for (auto& side : sides) {
    if (&side.node == &node) side.vanished = true;
  }
}

void TcpPair::reset() {
  broken = true;
  for (auto& side : sides) {
    side.readers.wake();
    side.writers.wake();
  }
}

void TcpPair::refuse() {
  if (!sides[1].vanished) reset();
}

void TcpPair::transmit(kj::uint from, Segment segment) {
  kj::uint to = 1 - from;
  auto& theirs = sides[to];
  fabric.carry(segment.bytes);
  auto delay = fabric.latency;
  KJ_IF_MAYBE (wire, fabric.wire) {
    delay = wire->onSegment(id, from, sides[from].node, theirs.node, segment.bytes, delay);
  }
  theirs.inFlight.push_back(kj::mv(segment));
  theirs.lastArrival = kj::max(theirs.lastArrival, fabric.timer.now() + delay);
  // Each delivery takes the front of the queue, so late ones cannot overtake.
  fabric.sendReliable(sides[from].node, theirs.node, theirs.lastArrival,
                      [self = kj::addRef(*this), to]() mutable { self->arrive(to); });
}

void TcpPair::arrive(kj::uint side) {
  auto& mine = sides[side];
  auto segment = kj::mv(mine.inFlight.front());
  mine.inFlight.pop_front();
  if (broken) return;
  if (mine.vanished) {
    if (!mine.node.isDeaf()) reset();  // the machine is back and knows nothing of this connection
    return;
  }
  KJ_IF_MAYBE (wire, fabric.wire) wire->onArrival(id, sides[1 - side].node, mine.node, segment.bytes.size());
  if (segment.fin) {
    mine.finArrived = true;
  } else if (mine.gone) {
    reset();  // nobody will ever read it
  } else {
    mine.received.push_back(kj::mv(segment.bytes));
  }
  mine.readers.wake();
}

idl::TcpSocket::Client newTcpSocket(kj::Own<TcpPair> pair, kj::uint side, ClientQuota::Ticket ticket,
                                    const NetLimits& limits) {
  return kj::heap<SimTcpSocket>(kj::mv(pair), side, kj::mv(ticket), limits);
}

TcpListenerState::TcpListenerState(Node& node, SocketAddress local, kj::uint backlog)
    : local(local), node(node), backlog(backlog) {
  node.listeners[local.port] = this;
}

void TcpListenerState::offer(kj::Own<TcpPair> pair) {
  pending.push_back(kj::mv(pair));
  acceptors.wake();
}

kj::Promise<kj::Own<TcpPair>> TcpListenerState::accept() {
  auto self = kj::addRef(*this);
  WaitQueue::Turn turn(acceptors);
  for (;;) {
    while (!pending.empty() && pending.front()->isReset()) pending.pop_front();
    if (closed) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the listener was closed"));
    if (turn.isFirst() && !pending.empty()) break;
    co_await turn.wait();
  }
  auto pair = kj::mv(pending.front());
  pending.pop_front();
  co_return kj::mv(pair);
}

void TcpListenerState::giveBack(kj::Own<TcpPair> pair) {
  pending.push_front(kj::mv(pair));
}

void TcpListenerState::close() {
  if (closed) return;
  closed = true;
  node.listeners.erase(local.port);
  for (auto& pair : pending) pair->refuse();
  pending.clear();
  acceptors.wake();
}

idl::TcpListener::Client newTcpListener(kj::Own<TcpListenerState> state, kj::Own<ClientQuota> quota,
                                        ClientQuota::Ticket ticket) {
  return kj::heap<SimTcpListener>(kj::mv(state), kj::mv(quota), kj::mv(ticket));
}

}  // namespace nexus::sim
