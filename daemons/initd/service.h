#pragma once
// One supervised program of a node as data: what it is called, who it runs as, what it serves and to whom, what it
// uses. The table itself is service-table.c++; nothing here starts anything.
#include <kj/common.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// User and group number (the same) of one program. 0 is root: nobody but initd.
using ServiceUid = uint32_t;

struct ServiceExport {
  kj::StringPtr socket;             // /run/nexus/NAME.sock
  ServiceUid client;                // who may connect, and no one else: the socket is 0600 and belongs to it
  kj::StringPtr inherited = ""_kj;  // the name under which the program inherits it; empty: that of the socket

  kj::StringPtr inheritedName() const { return inherited.size() > 0 ? inherited : socket; }
};

struct ServiceImport {
  kj::StringPtr name;    // as the program asks for it
  kj::StringPtr socket;  // /run/nexus/NAME.sock
};

struct Service {
  kj::StringPtr name;
  kj::StringPtr binary;
  ServiceUid uid;
  kj::ArrayPtr<const ServiceExport> exports;
  kj::ArrayPtr<const ServiceImport> imports;
  kj::StringPtr stateFolder = ""_kj;  // a tmpfs of its own there, that no other user may enter; empty: none
  bool device = false;                // inherits a connected socket `device` (idl Device), opened afresh at each start
  bool oneShot = false;               // runs once, after the others; its end is the result of the guest
};

// The services of one profile, in the order in which they are started.
kj::Maybe<kj::ArrayPtr<const Service>> tryFindServices(kj::StringPtr profile);

// The one who may use the supervisor's socket: the selftest of a test profile.
constexpr ServiceUid SELFTEST_UID = 1100;

constexpr kj::StringPtr SOCKET_FOLDER = "/run/nexus"_kj;
kj::String socketPath(kj::StringPtr socket, kj::StringPtr folder = SOCKET_FOLDER);

}  // namespace nexus
