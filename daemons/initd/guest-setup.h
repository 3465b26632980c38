#pragma once
// What has to be done once, as PID 1 of a guest that has nothing but an initramfs: file systems, console, host name,
// kernel modules; and at the end, power off. Owned by initd. Knows nothing of services.
#include <kj/io.h>
#include <kj/string.h>

#include "daemons/initd/service.h"

namespace nexus {

// Mounts /proc, /sys, /dev and /run, makes the console standard output and error, makes the socket folder. What other
// users could use without being asked is taken away from them. FAILED naming the step.
void setUpGuest();

void setHostName(kj::StringPtr name);

// Loads the modules that /lib/modules/load-order names, in that order. One that is there already is fine.
void loadModules();

// An empty tmpfs of at most 4 MiB at `path` that only the user `uid` may enter. It lives as long as the guest, so what
// a service keeps there survives the service.
void makeStateFolder(kj::StringPtr path, ServiceUid uid);

// After the last file was made: nobody, not even root, changes the root file system any more.
void sealRoot();

// The second serial port in raw mode; null when the machine has none.
kj::Maybe<kj::AutoCloseFd> openStatusTerminal();

kj::String readWholeFile(kj::StringPtr path);

[[noreturn]] void powerOff();

}  // namespace nexus
