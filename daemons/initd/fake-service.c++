// Stands in a daemon's place in initd-test. With `--config` it is the one whose end ends the node: it ends with 7. Else
// it answers every connection on its first inherited socket with its process number, until it is killed; a service
// without a socket waits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int FIRST_FD = 3;  // sd_listen_fds(3)

}  // namespace

int main(int argc, char* argv[]) {
  if (argc > 1 && strcmp(argv[1], "--config") == 0) return 7;
  for (;;) {
    if (getenv("LISTEN_FDS") == nullptr) pause();
    int client = accept(FIRST_FD, nullptr, nullptr);
    if (client < 0) continue;
    char line[32];
    int size = snprintf(line, sizeof(line), "%d\n", getpid());
    (void)!write(client, line, size_t(size));
    close(client);
  }
}
