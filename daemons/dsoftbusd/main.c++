#include "daemons/dsoftbusd/serve.h"

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Dsoftbusd>(
      argc, argv, {"dsoftbusd", "Finds other nodes, authenticates them, and forwards the calls that policy allows."},
      nexus::checkDsoftbusd, nexus::serveDsoftbusd);
}
