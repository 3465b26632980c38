#include "daemons/dsoftbusd/remote/mux-stream-input.h"

#include <kj/debug.h>
#include <string.h>

namespace nexus {

namespace {

class MuxStreamInput final : public kj::AsyncInputStream {
 public:
  explicit MuxStreamInput(idl::MuxStream::Client stream) : stream(kj::mv(stream)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto out = static_cast<kj::byte*>(buffer);
    size_t total = 0;
    while (total < minBytes) {
      auto request = stream.readRequest();
      request.setMaxBytes(maxBytes - total);
      auto response = co_await request.send();
      auto data = response.getData();
      if (data.size() == 0) break;
      KJ_REQUIRE(data.size() <= maxBytes - total, "more bytes than were asked for");
      memcpy(out + total, data.begin(), data.size());
      total += data.size();
    }
    co_return total;
  }

 private:
  idl::MuxStream::Client stream;
};

}  // namespace

kj::Own<kj::AsyncInputStream> newMuxStreamInput(idl::MuxStream::Client stream) {
  return kj::heap<MuxStreamInput>(kj::mv(stream));
}

}  // namespace nexus
