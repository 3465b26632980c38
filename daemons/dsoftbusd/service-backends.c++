#include "daemons/dsoftbusd/service-backends.h"

namespace nexus {

namespace {

// Both interfaces have the same method: osLite @n (frame :Data) -> (reply :Data).
template <typename Interface>
class OsLiteBackend final : public ServiceBackend {
 public:
  explicit OsLiteBackend(kj::Function<typename Interface::Client()> get) : get(kj::mv(get)) {}

  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller&, kj::Array<kj::byte> frame) override {
    auto request = get().osLiteRequest();
    request.setFrame(frame);
    return request.send().then([](auto&& response) -> kj::Array<kj::byte> {
      auto reply = response.getReply();
      // One byte more than is allowed is enough for the proxy to refuse it.
      return kj::heapArray<kj::byte>(reply.slice(0, kj::min(reply.size(), MAX_CALL_REPLY + 1)));
    });
  }

 private:
  kj::Function<typename Interface::Client()> get;
};

}  // namespace

kj::Own<ServiceBackend> newSamgrBackend(kj::Function<idl::Samgr::Client()> get) {
  return kj::heap<OsLiteBackend<idl::Samgr>>(kj::mv(get));
}

kj::Own<ServiceBackend> newBundlemgrBackend(kj::Function<idl::Bundlemgr::Client()> get) {
  return kj::heap<OsLiteBackend<idl::Bundlemgr>>(kj::mv(get));
}

}  // namespace nexus
