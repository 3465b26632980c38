#include "daemons/dsoftbusd/service-backends.h"

namespace nexus {

namespace {

template <typename Interface>
class OsLiteBackend final : public ServiceBackend {
 public:
  explicit OsLiteBackend(kj::Function<typename Interface::Client()> get) : get(kj::mv(get)) {}

  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller&, kj::Array<kj::byte> frame) override {
    return callOsLite(get(), frame);
  }

 private:
  kj::Function<typename Interface::Client()> get;
};

class StatefsBackend final : public ServiceBackend {
 public:
  explicit StatefsBackend(kj::Function<idl::Statefs::Client()> get) : get(kj::mv(get)) {}

  // A list is cut to whole keys by the store, so that it fits; a value that does not fit is the proxy's to refuse.
  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller&, kj::Array<kj::byte> frame) override {
    auto request = get().osLiteRequest();
    request.setFrame(frame);
    request.setMaxReplyBytes(MAX_CALL_REPLY);
    return request.send().then([](auto&& response) { return cutReply(response.getReply()); });
  }

 private:
  kj::Function<idl::Statefs::Client()> get;
};

}  // namespace

kj::Array<kj::byte> cutReply(capnp::Data::Reader reply) {
  return kj::heapArray<kj::byte>(reply.slice(0, kj::min(reply.size(), MAX_CALL_REPLY + 1)));
}

kj::Own<ServiceBackend> newSamgrBackend(kj::Function<idl::Samgr::Client()> get) {
  return kj::heap<OsLiteBackend<idl::Samgr>>(kj::mv(get));
}

kj::Own<ServiceBackend> newBundlemgrBackend(kj::Function<idl::Bundlemgr::Client()> get) {
  return kj::heap<OsLiteBackend<idl::Bundlemgr>>(kj::mv(get));
}

kj::Own<ServiceBackend> newStatefsBackend(kj::Function<idl::Statefs::Client()> get) {
  return kj::heap<StatefsBackend>(kj::mv(get));
}

}  // namespace nexus
