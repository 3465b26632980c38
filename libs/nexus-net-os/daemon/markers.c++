#include "libs/nexus-net-os/daemon/markers.h"

#include <kj/debug.h>
#include <unistd.h>

namespace nexus {

void emitMarker(const Marker& marker, kj::StringPtr detail) {
  auto line = kj::str(marker.text, detail, '\n');
  ssize_t written;
  KJ_SYSCALL(written = write(STDOUT_FILENO, line.begin(), line.size()));
  KJ_REQUIRE(size_t(written) == line.size(), "the console took only part of a marker", line);
}

}  // namespace nexus
