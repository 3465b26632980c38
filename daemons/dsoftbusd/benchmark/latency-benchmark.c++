// What a round trip of one byte costs through a session beside Cap'n Proto RPC over the plain connection below it, in
// one run. Each node has its thread, as two processes would. By processor time too, which what else runs on the machine
// does not change.
#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

#include <cstdio>

#include "daemons/dsoftbusd/benchmark/benchmark-support.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-export.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"
#include "idl/samgr.capnp.h"

namespace nexus {
namespace {

constexpr int RUNS = 7, ROUNDS = 1000;
constexpr double MOST_SHARE = 1.5;   // of plain Cap'n Proto, by processor time: a ping, a call
constexpr double MOST_NESTED = 1.5;  // Cap'n Proto inside a stream: two protocols

class Answerer final : public idl::Samgr::Server {
 public:
  kj::Promise<void> resolveStatus(ResolveStatusContext context) override { return kj::READY_NOW; }
};

struct Trip {
  double wall = 0, processor = 0;  // us
};

// `once` is one round trip; the far end runs until the near one is done.
template <typename Once>
Trip measure(Once&& once) {
  once();
  Trip trip;
  trip.processor = cpuSecondsOf([&] {
                     trip.wall = secondsOf([&] {
                       for (int i = 0; i < ROUNDS; i++) once();
                     });
                   }) /
                   ROUNDS * 1e6;
  trip.wall *= 1e6 / ROUNDS;
  return trip;
}

Trip overCapnp(Link& link) {
  Trip trip;
  runPair(
      link,
      [&](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) {
        capnp::TwoPartyClient client(*stream);
        auto samgr = client.bootstrap().castAs<idl::Samgr>();
        trip = measure([&] {
          auto request = samgr.resolveStatusRequest();
          request.setName("x");
          request.send().wait(io.waitScope);
        });
      },
      [](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) {
        capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
        auto rpc = capnp::makeRpcServer(network, kj::heap<Answerer>());
        network.onDisconnect().wait(io.waitScope);
      });
  return trip;
}

// SCHEMA: the library's protocol as it is, on a stream. RPC: calls between nodes as they are made (schema-rpc/), with
// their rules, policy and audit, and only data.
enum class Way { PING, CALL, SCHEMA, RPC };
constexpr int WAYS = 5;  // with the plain connection

// The serving end of RPC.
struct Offering {
  static constexpr kj::uint PLENTY = 1000000;  // calls a second
  AuditLog audit;
  RateLimiter rate{PLENTY, PLENTY};
  RemoteProxyObserver observer;
  LivePolicy policy{kj::arr(PolicyRule{kj::str("near"), kj::str("rpc:samgr"), kj::arr(kj::str("resolveStatus"))})};
  RemoteProxy proxy;
  kj::OneOf<RpcService, kj::String> service =
      RpcService::describe("samgr", "samgr", capnp::InterfaceSchema(capnp::Schema::from<idl::Samgr>()));
  idl::Samgr::Client samgr = kj::heap<Answerer>();
  RpcExporter exporter;

  explicit Offering(kj::Timer& timer)
      : audit(timer),
        proxy(timer, policy, rate, audit, observer, kj::Array<RemoteProxy::Backend>()),
        exporter(timer, proxy, "far",
                 kj::arr(RpcExporter::Offer{service.get<RpcService>(),
                                            [this]() -> capnp::Capability::Client { return samgr; }})) {}
};

Trip overSession(Link& link, Way way) {
  Trip trip;
  runPair(
      link,
      [&](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport) {
        OpenDoor door;
        auto live = startSession(io, kj::mv(transport), MuxRole::INITIATOR, door);
        auto byte = "x"_kj.asBytes();
        if (way == Way::SCHEMA || way == Way::RPC) {
          auto opened = live.session->mux().open("rpc:samgr#i1", 0);
          auto stream = kj::mv(opened.get<kj::Own<MuxStream>>());
          kj::Own<capnp::TwoPartyClient> client;
          capnp::Capability::Client service = nullptr;
          if (way == Way::SCHEMA) {
            client = kj::heap<capnp::TwoPartyClient>(*stream);
            service = client->bootstrap();
          } else {
            service = newRemoteService(kj::mv(stream), io.provider->getTimer(), "far");
          }
          auto samgr = service.castAs<idl::Samgr>();
          trip = measure([&] {
            auto request = samgr.resolveStatusRequest();
            request.setName("x");
            request.send().wait(io.waitScope);
          });
        } else {
          trip = measure([&] {
            if (way == Way::PING) {
              live.session->ping(byte).wait(io.waitScope);
            } else {
              live.session->call("echo"_kj.asArray(), byte).wait(io.waitScope);
            }
          });
        }
        live.session->close(CloseReason::SHUTDOWN, kj::str("done"));
        live.running.wait(io.waitScope);
      },
      [way](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport) {
        OpenDoor door;
        auto live = startSession(io, kj::mv(transport), MuxRole::RESPONDER, door);
        if (way == Way::SCHEMA) {
          auto stream = live.session->mux().accept().wait(io.waitScope);
          capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
          auto rpc = capnp::makeRpcServer(network, kj::heap<Answerer>());
          live.running.wait(io.waitScope);
        } else if (way == Way::RPC) {
          auto stream = live.session->mux().accept().wait(io.waitScope);
          Offering offering(io.provider->getTimer());
          auto serving = offering.exporter.serve({true, "near"}, "rpc:samgr#i1", kj::mv(stream));
          live.running.wait(io.waitScope);
        } else {
          live.running.wait(io.waitScope);
        }
      });
  return trip;
}

void compare(Link& link) {
  Spread wall[WAYS], processor[WAYS];
  double runs[WAYS][2][RUNS];
  for (int run = 0; run < RUNS; run++) {
    for (int i = 0; i < WAYS; i++) {
      auto trip = i == 0 ? overCapnp(link) : overSession(link, static_cast<Way>(i - 1));
      runs[i][0][run] = trip.wall;
      runs[i][1][run] = trip.processor;
    }
  }
  static constexpr const char* NAMES[] = {"Cap'n Proto, plain", "ping", "call", "Cap'n Proto on a stream",
                                          "call between nodes"};
  for (int i = 0; i < WAYS; i++) {
    wall[i] = Spread::of(runs[i][0]);
    processor[i] = Spread::of(runs[i][1]);
    printf("%-22s %-24s wall %26s %5.2f   processor %26s %5.2f\n", link.name().cStr(), NAMES[i],
           kj::str(wall[i]).cStr(), wall[i].median / wall[0].median, kj::str(processor[i]).cStr(),
           processor[i].median / processor[0].median);
  }
  fflush(stdout);
  for (int i = 1; i < 3; i++) {
    double share = processor[i].median / processor[0].median;
    CHECK(isMet(share <= MOST_SHARE, kj::str("at most ", MOST_SHARE, " for a ping and a call")));
  }
  double nested = processor[3].median / processor[0].median;
  CHECK(isMet(nested <= MOST_NESTED, kj::str("at most ", MOST_NESTED, " for Cap'n Proto on a stream")));
}

TEST_CASE("a round trip of one byte costs at most 1.5 times as much as Cap'n Proto RPC over kernel TCP") {
  printf("us for a round trip, median (least-most) of %d runs of %d; and the ratio to plain Cap'n Proto\n", RUNS,
         ROUNDS);
  compare(*newKernelTcpLink());
}

TEST_CASE("the same over netstackd's TCP through its descriptors") {
  compare(*newNetstackLink(Bytes::DESCRIPTOR));
}

}  // namespace
}  // namespace nexus
