#pragma once
// Starts one program with nothing but what it is given: its own user and group, no capabilities, no way to gain any, an
// empty network namespace, and named descriptors from 3 upwards (LISTEN_FDS, LISTEN_FDNAMES). Used by initd. Knows
// nothing of services or restarts; the end of the process is for whoever reaps.
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <sys/resource.h>

#include "daemons/initd/supervision.h"

namespace nexus {

struct NamedFd {
  kj::StringPtr name;
  int fd;  // the caller's; the program gets a duplicate
};

struct ProcessSpec {
  kj::StringPtr binary;                      // absolute path
  kj::ArrayPtr<const kj::String> arguments;  // without the program's name
  kj::ArrayPtr<const NamedFd> fds;
  kj::Maybe<ServiceUid> uid;  // user and group. Null: the caller's, with whatever it may do
  bool ownNetwork = true;     // a network namespace with nothing in it. Needs root
  rlim_t openFiles = 1024;    // RLIMIT_NOFILE
};

// Returns once the program runs, or says which step failed: "execve /bin/x: No such file or directory". Standard output
// and error are the caller's, standard input is /dev/null; every other descriptor is closed.
kj::OneOf<pid_t, StartRefused> startProcess(const ProcessSpec& spec);

}  // namespace nexus
