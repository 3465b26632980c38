// Asks the daemons of this node. No logic here.
#include "tools/nexusctl/nexusctl.h"

int main(int argc, char** argv) {
  return nexus::ctl::nexusctlMain(argc, argv);
}
