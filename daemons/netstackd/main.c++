// netstackd: TCP/IP as capabilities over the frames of one Nic.
#include "daemons/netstackd/netstackd.h"

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Netstackd>(argc, argv,
                                                     {"netstackd", "Serves TCP/IP as capabilities over a Nic."},
                                                     nexus::checkNetstackd, nexus::runNetstackd);
}
