#include "libs/nexus-net-os/daemon/status-command.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

kj::String roundTrip(kj::StringPtr line) {
  KJ_IF_MAYBE (command, parseCommand(line.asArray())) return encodeCommand(*command);
  return kj::str("refused");
}

TEST_CASE("every command is read and written as the same bytes") {
  for (kj::StringPtr line : {"poweroff"_kj, "kill virtionetd"_kj, "order soak-begin"_kj, "order soak-end"_kj,
                             "order arm 0"_kj, "order arm 4294967295"_kj, "order go 7"_kj, "order end"_kj}) {
    CAPTURE(line.cStr());
    CHECK(roundTrip(line) == line);
    CHECK(line.size() <= STATUS_COMMAND_MAX);
  }
}

TEST_CASE("anything but an exact command is refused") {
  for (kj::StringPtr line : {""_kj,
                             "poweroff "_kj,
                             "Poweroff"_kj,
                             "kill"_kj,
                             "kill "_kj,
                             "kill a b"_kj,
                             "kill ../x"_kj,
                             "kill A"_kj,
                             "kill a\n"_kj,
                             "kill 123456789012345678901234567890123"_kj,
                             "order"_kj,
                             "order "_kj,
                             "order soak"_kj,
                             "order arm"_kj,
                             "order arm "_kj,
                             "order arm x"_kj,
                             "order arm -1"_kj,
                             "order arm 01"_kj,
                             "order arm 4294967296"_kj,
                             "order go 1 "_kj,
                             "order end 1"_kj}) {
    CAPTURE(line.cStr());
    CHECK(roundTrip(line) == "refused");
  }
}

TEST_CASE("the fields arrive where they belong") {
  CHECK(KJ_ASSERT_NONNULL(parseCommand("kill samgrd"_kj.asArray())).get<KillCommand>().service == "samgrd");
  auto order = KJ_ASSERT_NONNULL(parseCommand("order go 12"_kj.asArray())).get<TrafficOrder>();
  CHECK((order.kind == TrafficOrder::Kind::GO));
  CHECK(order.event == 12);
}

TEST_CASE("a service name that could make a second line is the writer's fault") {
  CHECK_THROWS(encodeCommand(KillCommand{kj::str("a\npoweroff")}));
}

}  // namespace
}  // namespace nexus
