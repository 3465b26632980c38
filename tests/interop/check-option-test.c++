// What a daemon's `--check` says of a configuration is what its start says: the same exit status and the same sentence.
// And what it is started with that it has no use for is wrong usage.
#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

constexpr int EXIT_USAGE = 2, EXIT_CONFIG = 8;

struct Wrong {
  kj::StringPtr binary, config, said;
};

constexpr Wrong WRONG[] = {
    {"daemons/virtionetd/virtionetd"_kj, "[virtionetd]\nreceiveBuffers = 100\n"_kj,
     "a power of two from 16 to 4096"_kj},
    {"daemons/virtionetd/virtionetd"_kj, "[virtionetd]\nmacAddress = \"01:00:5e:00:00:01\"\n"_kj,
     "macAddress must be that of one station"_kj},
    {"daemons/virtionetd/virtionetd"_kj, "[virtionetd]\nbackend = \"tap\"\n"_kj, "tapName must be 1 to 15"_kj},
    {"daemons/virtionetd/virtionetd"_kj, "[virtionetd]\nbackend = \"tap\"\ntapName = \"0123456789abcdef\"\n"_kj,
     "tapName must be 1 to 15"_kj},
    {"daemons/virtionetd/virtionetd"_kj, "[virtionetd]\nbackend = \"stream\"\n"_kj, "streamPath must be 1 to 107"_kj},
    {"daemons/netstackd/netstackd"_kj, "[netstackd]\nstreamLingerMs = 99\n"_kj, "streamLingerMs: write 100"_kj},
    {"daemons/netstackd/netstackd"_kj, "[netstackd]\naddressing = \"static\"\naddress = \"10.0.0.1\"\n"_kj,
     "address: write an IPv4 address and its prefix"_kj},
    {"daemons/netstackd/netstackd"_kj, "[[netstackd.exports]]\nname = \"net\"\n"_kj, "taken by the daemon itself"_kj},
    {"daemons/netstackd/netstackd"_kj, "[[netstackd.exports]]\nname = \"a\"\nconnect = [\"nonsense\"]\n"_kj,
     "nonsense"_kj},
    {"daemons/samgrd/samgrd"_kj, "[samgrd]\nservices = [\"\"]\n"_kj, "1 to 48 bytes"_kj},
    {"daemons/dsoftbusd/dsoftbusd"_kj, "[dsoftbusd]\nnodeName = \"node-a\"\nidentityFile = \"/nonexistent/key\"\n"_kj,
     "is missing"_kj},
    {"daemons/dsoftbusd/dsoftbusd"_kj,
     "[dsoftbusd]\nnodeName = \"node-a\"\nallowTestIdentity = true\ntestIdentity = \"node-a\"\nmaxPeers = 0\n"_kj,
     "maxPeers"_kj},
    {"daemons/dsoftbusd/dsoftbusd"_kj,
     "[dsoftbusd]\nnodeName = \"node-a\"\nallowTestIdentity = true\ntestIdentity = \"node-a\"\ntrustFile = "
     "\"/nonexistent/paired\"\n"_kj,
     "/nonexistent"_kj},
    {"tools/host_net/host_net"_kj, "[host_net]\naddress = \"localhost\"\n"_kj, "address: write one address"_kj},
};

TEST_CASE("--check refuses what the start refuses, with its sentence, and takes the rest") {
  for (auto& wrong : WRONG) {
    CAPTURE(wrong.binary.cStr());
    CAPTURE(wrong.config.cStr());
    TemporaryFolder folder;
    auto config = folder.write("config.toml", wrong.config);
    auto path = config.asPtr();
    DaemonProcess checked(wrong.binary, nullptr, {"--check"_kj, "--config"_kj, path});
    CHECK(checked.wait() == EXIT_CONFIG);
    CHECK(checked.output().find(wrong.said.cStr()) != std::string::npos);
    DaemonProcess started(wrong.binary, nullptr, {"--config"_kj, path});
    CHECK(started.wait() == EXIT_CONFIG);
    // A daemon may warn before: of test keys.
    CHECK(kj::StringPtr(started.output().c_str()).endsWith(checked.output().c_str()));
    DaemonProcess defaults("daemons/netstackd/netstackd", nullptr, {"--check"_kj});
    CHECK(defaults.wait() == 0);
  }
}

TEST_CASE("--check opens no interface, no socket and no store, and wants no import") {
  TemporaryFolder folder;
  auto tap = folder.write("tap.toml", "[virtionetd]\nbackend = \"tap\"\ntapName = \"nx-none\"\n");
  auto stream = folder.write("stream.toml", kj::str("[virtionetd]\nbackend = \"stream\"\nstreamListen = true\n"
                                                    "streamPath = \"/nonexistent/link.sock\"\n"));
  for (auto config : {tap.asPtr(), stream.asPtr()}) {
    DaemonProcess daemon("daemons/virtionetd/virtionetd", nullptr, {"--check"_kj, "--config"_kj, config});
    CHECK(daemon.wait() == 0);
    CHECK(daemon.output() == "");
  }
  auto bus =
      folder.write("bus.toml", kj::str("[dsoftbusd]\nnodeName = \"node-a\"\nallowTestIdentity = true\n"
                                       "testIdentity = \"node-a\"\nauditFile = \"",
                                       folder.file("audit"), "\"\ntrustFile = \"", folder.file("paired"), "\"\n"));
  DaemonProcess daemon("daemons/dsoftbusd/dsoftbusd", nullptr, {"--check"_kj, "--config"_kj, bus.asPtr()});
  CHECK(daemon.wait() == 0);
  CHECK(folder.text("audit") == "(none)");
  CHECK(folder.text("paired") == "(none)");
}

TEST_CASE("an export that a daemon does not have is wrong usage, and the daemon says which it has") {
  TemporaryFolder store;
  auto config = store.file("config.toml");
  for (kj::StringPtr name : {"samgrd"_kj, "bundlemgrd"_kj, "packagefsd"_kj, "statefsd"_kj}) {
    CAPTURE(name.cStr());
    TemporaryFolder folder;
    auto key =
        name == "samgrd" ? kj::str() : kj::str(name == "statefsd" ? "folder" : "store", " = \"", folder.path(), "\"");
    store.write("config.toml", kj::str('[', name, "]\n", key, '\n'));
    auto binary = kj::str("daemons/", name, '/', name);
    auto prefix = kj::str(name.slice(0, name.size() - 1), '-');
    for (auto& exported : {kj::str("bus"), kj::str(prefix), kj::str("status")}) {
      kj::StringPtr exports[] = {exported};
      DaemonProcess daemon(binary, exports, {"--config"_kj, config.asPtr()});
      CHECK(daemon.wait() == EXIT_USAGE);
      CHECK(daemon.output() == kj::str(name, ": there is no export \"", exported, "\": ", name, " exports ", prefix,
                                       "CLIENT and status-", name, '\n')
                                   .cStr());
    }
  }
}

}  // namespace
}  // namespace nexus
