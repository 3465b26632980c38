#include "daemons/dsoftbusd/remote/service-backends.h"

#include "daemons/dsoftbusd/remote/image-server.h"

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

// Frames go to bundlemgrd as they are; its image is sent over streams.
class BundlemgrBackend final : public ServiceBackend {
 public:
  BundlemgrBackend(kj::Timer& timer, kj::Function<idl::Bundlemgr::Client()> get)
      : get(kj::mv(get)), images(timer, [this] { return this->get(); }) {}

  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller&, kj::Array<kj::byte> frame) override {
    return callOsLite(get(), frame);
  }

  kj::Promise<CallStatus> serveStream(const RemoteCaller& caller, kj::StringPtr operation,
                                      kj::Own<kj::AsyncIoStream> stream) override {
    if (operation != "fetch-image") return CallStatus::BACKEND_FAILED;
    return images.serve(caller.name, kj::mv(stream));
  }

 private:
  kj::Function<idl::Bundlemgr::Client()> get;
  ImageServer images;
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

kj::Own<ServiceBackend> newBundlemgrBackend(kj::Timer& timer, kj::Function<idl::Bundlemgr::Client()> get) {
  return kj::heap<BundlemgrBackend>(timer, kj::mv(get));
}

kj::Own<ServiceBackend> newStatefsBackend(kj::Function<idl::Statefs::Client()> get) {
  return kj::heap<StatefsBackend>(kj::mv(get));
}

}  // namespace nexus
