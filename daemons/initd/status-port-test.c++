#include "daemons/initd/status-port.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include <cstring>
#include <string>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

struct Harness {
  SimClock clock;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  StatusPort port{kj::mv(pipe.ends[0])};
  kj::AsyncIoStream& end = *pipe.ends[1];

  std::string read(size_t bytes) {
    std::string text(bytes, ' ');
    end.read(text.data(), bytes).wait(clock.waitScope);
    return text;
  }
  void write(kj::StringPtr text) { end.write(text.begin(), text.size()).wait(clock.waitScope); }
};

TEST_CASE("messages leave as lines, in order") {
  Harness harness;
  harness.port.send(StatusKernel{kj::str("6.1.0")});
  harness.port.send(StatusStep{kj::str("net-iface"), true, nullptr});
  harness.port.send(StatusExit{3});
  CHECK(harness.read(38) == "kernel 6.1.0\nstep net-iface ok\nexit 3\n");
  harness.clock.run(harness.port.flushed());
}

TEST_CASE("a harness that does not read costs messages beyond the bound, never the caller's time") {
  Harness harness;
  for (kj::uint i = 0; i < StatusPort::MAX_QUEUED + 2; i++) harness.port.send(StatusExit{7});
  CHECK(harness.port.droppedCount() == 2);
  CHECK(harness.read(7 * StatusPort::MAX_QUEUED).size() == 7 * StatusPort::MAX_QUEUED);
  harness.clock.run(harness.port.flushed());
  harness.port.send(StatusExit{8});
  CHECK(harness.read(7) == "exit 8\n");
}

TEST_CASE("a harness that has gone is counted, and the next message does not fail either") {
  Harness harness;
  harness.pipe.ends[1] = nullptr;
  harness.port.send(StatusExit{1});
  harness.port.send(StatusExit{2});
  harness.clock.run(harness.port.flushed());
  CHECK(harness.port.droppedCount() == 2);
}

TEST_CASE("only the whole line poweroff is the command, with either line end") {
  for (auto command : {"poweroff\n", "poweroff\r\n", "\npoweroff\n"}) {
    CAPTURE(command);
    Harness harness;
    auto asked = harness.port.readCommands([](const StatusCommand&) {});
    harness.write("power off\nxpoweroff\npoweroffx\npoweroff ");
    CHECK_FALSE(asked.poll(harness.clock.waitScope));
    harness.write("\n");
    CHECK_FALSE(asked.poll(harness.clock.waitScope));
    auto written = harness.end.write(command, strlen(command));  // nobody reads what stands behind the command
    CHECK(asked.poll(harness.clock.waitScope));
  }
}

TEST_CASE("the other commands are handed out in order, and what stands between them is ignored") {
  Harness harness;
  kj::Vector<kj::String> commands;
  auto asked = harness.port.readCommands([&](const StatusCommand& command) { commands.add(encodeCommand(command)); });
  harness.write("kill samgrd\r\nkill ../x\norder arm 3\norder go");
  CHECK_FALSE(asked.poll(harness.clock.waitScope));
  harness.write(" 3\n");
  CHECK_FALSE(asked.poll(harness.clock.waitScope));
  REQUIRE(commands.size() == 3);
  CHECK(commands[0] == "kill samgrd");
  CHECK(commands[1] == "order arm 3");
  CHECK(commands[2] == "order go 3");
}

TEST_CASE("a line without an end does not grow") {
  Harness harness;
  auto asked = harness.port.readCommands([](const StatusCommand&) {});
  for (int i = 0; i < 100; i++) harness.write("poweroffpoweroffpoweroffpoweroff");
  harness.write("\n");
  CHECK_FALSE(asked.poll(harness.clock.waitScope));
  harness.write("poweroff\n");
  CHECK(asked.poll(harness.clock.waitScope));
}

TEST_CASE("a closed channel ends the wait") {
  Harness harness;
  auto asked = harness.port.readCommands([](const StatusCommand&) {});
  harness.pipe.ends[1] = nullptr;
  CHECK(asked.poll(harness.clock.waitScope));
}

}  // namespace
}  // namespace nexus
