// Whatever a file of a compiled schema holds: a service or one clause that says what is wrong, no crash. dsoftbusd
// reads such files at its start, nexusctl whenever it is given one.
#include <kj/debug.h>

#include <cstdlib>

#include "daemons/dsoftbusd/schema-rpc/schema-file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (kj::StringPtr interface : {""_kj, "Notes"_kj, "Second"_kj}) {
    auto described = nexus::serviceFromSchema("fuzz", "fuzz", kj::arrayPtr(data, size), interface);
    KJ_IF_MAYBE (service, described.tryGet<nexus::RpcService>()) {
      if (service->methods().size() > nexus::MAX_RPC_METHODS) abort();
      for (auto& method : service->methods()) {
        if (service->find(method.interfaceId, method.ordinal) == nullptr) abort();
        if (method.withheld.map([](const kj::String& s) { return s.size(); }).orDefault(1) == 0) abort();
      }
    } else if (described.get<kj::String>().size() == 0) {
      abort();
    }
  }
  return 0;
}
