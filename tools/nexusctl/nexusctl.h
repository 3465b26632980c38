#pragma once
// The process around the command tree: arguments, the event loop, standard output and error, the exit status.

namespace nexus::ctl {

// The exit status (report.h, Exit).
int nexusctlMain(int argc, char** argv);

}  // namespace nexus::ctl
