#include "daemons/virtionetd/virtionetd.h"

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Virtionetd>(
      argc, argv, {"virtionetd", "Drives one network link and serves its frames as a capability (Nic)."},
      nexus::checkVirtionetd, nexus::runVirtionetd);
}
