#pragma once
// What a console line means beyond the markers: a kernel that gave up, a daemon's warning; and what an exit status
// means. Pure.
#include <kj/string.h>

namespace nexus::vmtest {

bool isPanicLine(kj::StringPtr line);

// A daemon's log line (daemon/log) of severity warning or worse.
bool isNoticeLine(kj::StringPtr line);

// " (a system call outside its sandbox's list)" for "signal 31"; empty when the status says all there is.
kj::StringPtr exitMeaning(kj::StringPtr status);

}  // namespace nexus::vmtest
