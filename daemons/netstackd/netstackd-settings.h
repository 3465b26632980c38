#pragma once
// The configuration of netstackd, checked: everything a person may have got wrong is told here, before the daemon does
// anything. A value.
#include <kj/time.h>

#include "daemons/netstackd/client-quota.h"
#include "daemons/netstackd/net-policy.h"
#include "libs/nexus-net-os/stack/lwip-stack.h"

namespace nexus {

struct NetstackdSettings {
  struct Export {
    kj::String name;
    NetPolicy policy;
  };

  kj::Maybe<Ipv4Config> fixed;  // null: DHCP
  kj::Duration dhcpTimeout;
  NetLimits limits;            // of each client
  kj::Vector<Export> exports;  // narrowed ones, beside `net` and `status-netstackd`
  bool sandbox;

  // FAILED, naming key and value, when something cannot be used.
  static NetstackdSettings fromConfig(config::Netstackd::Reader config);
};

}  // namespace nexus
