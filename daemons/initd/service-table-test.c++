#include <doctest/doctest.h>
#include <kj/debug.h>

#include <set>
#include <string>

#include "daemons/initd/service.h"

namespace nexus {
namespace {

constexpr kj::StringPtr PROFILES[] = {"qemu_test"_kj, "os2vm"_kj};

TEST_CASE("an unknown profile has no services") {
  CHECK((tryFindServices("") == nullptr));
  CHECK((tryFindServices("qemu_test2") == nullptr));
}

TEST_CASE("no two programs of a node share a user, and none is root") {
  for (auto profile : PROFILES) {
    std::set<ServiceUid> seen;
    for (auto& service : KJ_ASSERT_NONNULL(tryFindServices(profile))) {
      CAPTURE(service.name.cStr());
      CHECK(service.uid != 0);
      CHECK(seen.insert(service.uid).second);
    }
  }
}

TEST_CASE("whoever imports a socket is the one client who may connect to it, and every such socket is served") {
  for (auto profile : PROFILES) {
    auto services = KJ_ASSERT_NONNULL(tryFindServices(profile));
    for (auto& service : services) {
      for (auto& import : service.imports) {
        if (import.socket == "supervisor") continue;  // initd's own
        CAPTURE(service.name.cStr());
        CAPTURE(import.socket.cStr());
        kj::uint servers = 0;
        for (auto& server : services) {
          for (auto& e : server.exports) {
            if (e.socket != import.socket) continue;
            servers++;
            CHECK(e.client == service.uid);
          }
        }
        CHECK(servers == 1);
      }
    }
  }
}

TEST_CASE("only the selftest of a test profile holds the supervisor and the unrestricted network") {
  for (auto profile : PROFILES) {
    for (auto& service : KJ_ASSERT_NONNULL(tryFindServices(profile))) {
      for (auto& import : service.imports) {
        CAPTURE(service.name.cStr());
        if (import.socket == "supervisor" || import.socket == "net") CHECK(service.uid == SELFTEST_UID);
      }
    }
  }
}

TEST_CASE("exactly one program gets the device, and the one that ends comes last") {
  for (auto profile : PROFILES) {
    auto services = KJ_ASSERT_NONNULL(tryFindServices(profile));
    kj::uint devices = 0;
    for (auto& service : services) devices += service.device;
    CHECK(devices == 1);
    for (auto& service : services) CHECK(service.oneShot == (&service == &services.back()));
  }
}

TEST_CASE("a program inherits each socket under another name, and keeps state only in a folder of its own") {
  for (auto profile : PROFILES) {
    std::set<std::string> folders;
    for (auto& service : KJ_ASSERT_NONNULL(tryFindServices(profile))) {
      CAPTURE(service.name.cStr());
      std::set<std::string> inherited;
      for (auto& e : service.exports) CHECK(inherited.insert(e.inheritedName().cStr()).second);
      CHECK((service.stateFolder.size() > 0) == (service.name == "statefsd"));
      if (service.stateFolder.size() > 0) CHECK(folders.insert(service.stateFolder.cStr()).second);
    }
  }
}

TEST_CASE("a socket has a name of its own") {
  for (auto profile : PROFILES) {
    std::set<std::string> seen;
    for (auto& service : KJ_ASSERT_NONNULL(tryFindServices(profile))) {
      for (auto& e : service.exports) CHECK(seen.insert(e.socket.cStr()).second);
    }
  }
  CHECK(socketPath("net-dsoftbusd") == "/run/nexus/net-dsoftbusd.sock");
}

}  // namespace
}  // namespace nexus
