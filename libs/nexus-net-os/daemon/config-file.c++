#include "libs/nexus-net-os/daemon/config-file.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

ConfigFile::ConfigFile(kj::StringPtr path) : filePath(kj::str(path)) {
  kj::String folderPath = kj::str(".");
  name = kj::str(path);
  KJ_IF_MAYBE (slash, path.findLast('/')) {
    folderPath = *slash == 0 ? kj::str("/") : kj::heapString(path.slice(0, *slash));
    name = kj::str(path.slice(*slash + 1));
  }
  int fd = open(folderPath.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  KJ_REQUIRE(fd >= 0, "the folder of the configuration file cannot be opened", folderPath, strerror(errno));
  folder = kj::AutoCloseFd(fd);
}

kj::OneOf<kj::String, ConfigError> ConfigFile::read() const {
  auto error = [this](kj::StringPtr what) { return ConfigError{kj::str(filePath, ": ", what)}; };
  // Not to hang on a FIFO.
  int raw = openat(folder, name.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) return error(kj::str("cannot be read: ", strerror(errno)));
  kj::AutoCloseFd fd(raw);
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return error("is no regular file");
  kj::Vector<char> text;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error(kj::str("cannot be read: ", strerror(errno)));
    if (n == 0) return kj::heapString(text.begin(), text.size());
    text.addAll(kj::arrayPtr(buffer, n));
    if (text.size() > MAX_BYTES) return error("is longer than 1 MiB");
  }
}

}  // namespace nexus
