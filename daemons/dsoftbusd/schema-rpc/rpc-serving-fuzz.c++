// Whatever a peer writes into a stream for calls: no crash, every stream ends with its bytes, nothing of it stays, and
// no object but the service was ever made.
#include <cstdlib>

#include "daemons/dsoftbusd/schema-rpc/rpc-fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kj::_::Debug::setLogLevel(kj::LogSeverity::FATAL);
  nexus::RpcServingNode node;
  {
    auto stream = node.open();
    auto heard = stream.end->readAllBytes().then([](kj::Array<kj::byte>) {}, [](kj::Exception&&) {});
    auto hearing = heard.eagerlyEvaluate(nullptr);
    auto written = stream.end->write(data, size).then([] {}, [](kj::Exception&&) {});
    auto writing = written.eagerlyEvaluate(nullptr);
    node.sim.settle();
    if (node.state.objects != 1) abort();
    stream.end->shutdownWrite();
    node.sim.settle();
    node.sim.advance(20 * kj::SECONDS);
    if (!stream.serving.poll(node.sim.waitScope)) abort();
  }
  if (node.exporter->callsOf("node-a") != 0 || node.state.hanging != 0) abort();
  return 0;
}
