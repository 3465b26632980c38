#pragma once
// A whole node of the bus on this machine's own loopback network, each daemon in a process of its own and in its
// sandbox: the network, samgrd, bundlemgrd, dsoftbusd. Owned by a test; the processes end with it.
#include "libs/nexus-net-os/testing/daemon-process.h"

namespace nexus::interop {

// A TCP port of the loopback address that nobody listens on at the moment.
uint16_t freePort();

class LiveNode {
 public:
  // name: of the node and of its test identity. address: one of 127.0.0.0/8. more: further lines of its configuration,
  // which begin in the table [dsoftbusd]. FOLDER in them is a folder of the node's own, mode 0700.
  // imports: further ones of dsoftbusd, "notes=unix:/path".
  LiveNode(kj::StringPtr name, kj::StringPtr address, uint16_t sessionPort, uint16_t discoveryPort, kj::StringPtr more,
           kj::ArrayPtr<const kj::StringPtr> imports = nullptr);

  // Its exports are bus, bus-trust and bus-admin.
  DaemonProcess& dsoftbusd() { return *daemon; }
  kj::StringPtr folder() const { return ownFolder; }

 private:
  kj::String ownFolder;
  kj::Own<DaemonProcess> net, samgrd, bundlemgrd, daemon;
};

}  // namespace nexus::interop
