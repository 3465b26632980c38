#include "libs/nexus-net-os/rpc/known-kinds.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

namespace nexus {
namespace {

using capnp::rpc::Exception;
using capnp::rpc::Message;

template <typename Fill>
bool passes(Fill&& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Message>());
  return hasKnownKinds(message.getRoot<Message>().asReader());
}

TEST_CASE("exceptions of the four kinds pass wherever a message can hold one, a fifth and the last number do not") {
  for (uint16_t kind : {0, 1, 2, 3, 4, 0xffff}) {
    CAPTURE(kind);
    bool known = kind < 4;
    auto type = static_cast<Exception::Type>(kind);
    CHECK(passes([&](Message::Builder m) { m.initAbort().setType(type); }) == known);
    CHECK(passes([&](Message::Builder m) { m.initReturn().initException().setType(type); }) == known);
    CHECK(passes([&](Message::Builder m) { m.initResolve().initException().setType(type); }) == known);
  }
}

TEST_CASE("messages without an exception pass") {
  CHECK(passes([](Message::Builder) {}));
  CHECK(passes([](Message::Builder m) { m.initReturn().initResults(); }));
  CHECK(passes([](Message::Builder m) { m.initResolve().initCap(); }));
  CHECK(passes([](Message::Builder m) { m.initCall(); }));
  CHECK(passes([](Message::Builder m) { m.initUnimplemented().initAbort(); }));
}

}  // namespace
}  // namespace nexus
