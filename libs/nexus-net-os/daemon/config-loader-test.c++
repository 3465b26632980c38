#include "libs/nexus-net-os/daemon/config-loader.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "idl/config.capnp.h"

namespace nexus {
namespace {

kj::String errorOf(kj::StringPtr text) {
  capnp::MallocMessageBuilder message;
  auto error = loadConfig("n.toml", text, "netstackd", capnp::Schema::from<config::Netstackd>(), message);
  KJ_IF_MAYBE (e, error) return kj::mv(e->message);
  return kj::str("no error");
}

TEST_CASE("a file sets what it names and leaves every other default") {
  capnp::MallocMessageBuilder message;
  auto error = loadConfig("n.toml", R"(
[netstackd]
addressing = "static"
address = "10.42.0.10/24"
[[netstackd.exports]]
name = "net-bus"
connect = ["10.42.0.0/24:*"]
[dsoftbusd]
whatever = "is not ours"
)",
                          "netstackd", capnp::Schema::from<config::Netstackd>(), message);
  CHECK(error == nullptr);
  auto config = message.getRoot<config::Netstackd>().asReader();
  CHECK(config.getAddressing() == config::Netstackd::Addressing::STATIC);
  CHECK(config.getAddress() == "10.42.0.10/24");
  CHECK(config.getDhcpTimeoutMs() == 4000);
  REQUIRE(config.getExports().size() == 1);
  CHECK(config.getExports()[0].getConnect()[0] == "10.42.0.0/24:*");
}

TEST_CASE("a missing table is all defaults") {
  CHECK(errorOf("") == "no error");
}

TEST_CASE("a table whose name is almost right and a key outside of any table are told, not ignored") {
  CHECK(errorOf("[dsoftbusd]\n") == "no error");
  CHECK(errorOf("[netstakd]\naddress = \"x\"\n") == "n.toml:1:2: unknown table [netstakd], did you mean [netstackd]?");
  CHECK(
      errorOf("[[netstack.exports]]\nname = \"x\"\n").endsWith("unknown table [netstack], did you mean [netstackd]?"));
  CHECK(errorOf("address = \"10.42.0.10/24\"\n") ==
        "n.toml:1:1: \"address\" stands outside of a table: put it under [netstackd]");
}

TEST_CASE("an unknown key is told with its place and the name it may have meant") {
  CHECK(errorOf("[netstackd]\n\nadress = \"x\"\n") ==
        "n.toml:3:1: unknown key \"adress\" in [netstackd], did you mean \"address\"?");
  CHECK(errorOf("[[netstackd.exports]]\nnamme = \"x\"\n") ==
        "n.toml:2:1: unknown key \"namme\" in [netstackd.exports], did you mean \"name\"?");
  CHECK(errorOf("[netstackd]\nquite_else = 1\n") == "n.toml:2:1: unknown key \"quite_else\" in [netstackd]");
}

TEST_CASE("a syntax error, a wrong type and a bad enum value are told with their place") {
  CHECK(errorOf("[netstackd\n").startsWith("n.toml:1:"));
  CHECK(errorOf("[netstackd]\naddress = 7\n").startsWith("n.toml:2:1: bad value for \"address\""));
  CHECK(errorOf("[netstackd]\naddressing = \"magic\"\n").startsWith("n.toml:2:1: bad value for \"addressing\""));
}

}  // namespace
}  // namespace nexus
