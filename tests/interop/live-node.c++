#include "tests/interop/live-node.h"

#include <arpa/inet.h>
#include <kj/debug.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

namespace nexus::interop {

namespace {

std::string filled(kj::StringPtr text, kj::StringPtr folder) {
  std::string result = text.cStr();
  for (auto at = result.find("FOLDER"); at != std::string::npos; at = result.find("FOLDER")) {
    result.replace(at, 6, folder.cStr());
  }
  return result;
}

kj::String importOf(kj::StringPtr name, const DaemonProcess& process, kj::StringPtr exportName) {
  return kj::str(name, "=unix:", process.socketPath(exportName));
}

}  // namespace

uint16_t freePort() {
  kj::AutoCloseFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), size));
  KJ_SYSCALL(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size));
  return ntohs(address.sin_port);
}

LiveNode::LiveNode(kj::StringPtr name, kj::StringPtr address, uint16_t sessionPort, uint16_t discoveryPort,
                   kj::StringPtr more, kj::ArrayPtr<const kj::StringPtr> moreImports)
    : ownFolder(kj::str(getenv("TEST_TMPDIR"), "/live-XXXXXX")) {
  KJ_REQUIRE(mkdtemp(ownFolder.begin()) != nullptr, "no folder for a node");
  auto bundles = kj::str(ownFolder, "/bundles"), config = kj::str(ownFolder, "/node.toml");
  KJ_SYSCALL(mkdir(bundles.cStr(), 0700));
  std::ofstream(config.cStr()) << filled(
      kj::str("[host_net]\naddress = \"", address, "\"\n[bundlemgrd]\nstore = \"", bundles,
              "\"\n[dsoftbusd]\nnodeName = \"", name, "\"\nsessionPort = ", sessionPort,
              "\ndiscoveryPort = ", discoveryPort, "\nallowTestIdentity = true\ntestIdentity = \"", name, "\"\n", more),
      ownFolder);
  auto configured = kj::arr("--config"_kj, config.asPtr());
  net = kj::heap<DaemonProcess>("tools/host_net/host_net", kj::arr("net"_kj).asPtr(), configured.asPtr());
  samgrd = kj::heap<DaemonProcess>("daemons/samgrd/samgrd", kj::arr("samgr-dsoftbusd"_kj).asPtr(), nullptr);
  bundlemgrd = kj::heap<DaemonProcess>("daemons/bundlemgrd/bundlemgrd", kj::arr("bundlemgr-dsoftbusd"_kj).asPtr(),
                                       configured.asPtr());
  auto imports = kj::arr(importOf("net", *net, "net"), importOf("samgr", *samgrd, "samgr-dsoftbusd"),
                         importOf("bundlemgr", *bundlemgrd, "bundlemgr-dsoftbusd"));
  kj::Vector<kj::StringPtr> arguments;
  arguments.addAll(configured);
  for (auto& import : imports) arguments.add("--import"_kj), arguments.add(import);
  for (auto import : moreImports) arguments.add("--import"_kj), arguments.add(import);
  daemon = kj::heap<DaemonProcess>("daemons/dsoftbusd/dsoftbusd",
                                   kj::arr("bus"_kj, "bus-trust"_kj, "bus-admin"_kj).asPtr(), arguments.asPtr());
  daemon->waitForLine("dsoftbusd: os transport up (udp+tcp)");
}

}  // namespace nexus::interop
