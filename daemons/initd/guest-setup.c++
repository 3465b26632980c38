#include "daemons/initd/guest-setup.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

namespace nexus {

namespace {

void mountAt(const char* type, const char* where, unsigned long flags, const char* options) {
  if (mkdir(where, 0755) != 0 && errno != EEXIST) KJ_FAIL_SYSCALL("mkdir", errno, where);
  if (mount(type, where, type, flags, options) != 0) KJ_FAIL_SYSCALL("mount", errno, type, where);
}

}  // namespace

void setUpGuest() {
  umask(022);
  // hidepid: a service sees no process but its own.
  mountAt("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible");
  mountAt("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  mountAt("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755");
  mountAt("tmpfs", "/run", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m");
  if (mkdir(SOCKET_FOLDER.cStr(), 0755) != 0 && errno != EEXIST) KJ_FAIL_SYSCALL("mkdir", errno, SOCKET_FOLDER);

  int console;
  KJ_SYSCALL(console = open("/dev/console", O_RDWR | O_NOCTTY), "/dev/console");
  kj::AutoCloseFd owned(console > STDERR_FILENO ? console : -1);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fd == console) continue;
    KJ_SYSCALL(dup2(console, fd));
  }
}

void setHostName(kj::StringPtr name) {
  KJ_SYSCALL(sethostname(name.begin(), name.size()), name);
}

kj::String readWholeFile(kj::StringPtr path) {
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), O_RDONLY | O_CLOEXEC), path);
  return kj::FdInputStream(kj::AutoCloseFd(fd)).readAllText();
}

void loadModules() {
  auto order = readWholeFile("/lib/modules/load-order");
  size_t begin = 0;
  for (size_t i = 0; i < order.size(); i++) {
    if (order[i] != '\n') continue;
    auto path = kj::str("/lib/modules/", order.slice(begin, i));
    begin = i + 1;
    int fd;
    KJ_SYSCALL(fd = open(path.cStr(), O_RDONLY | O_CLOEXEC), path);
    kj::AutoCloseFd owned(fd);
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST) KJ_FAIL_SYSCALL("finit_module", errno, path);
  }
  // The kernel opens the container to everybody; here it is for the broker alone.
  KJ_SYSCALL(chmod("/dev/vfio/vfio", 0600));
}

void makeStateFolder(kj::StringPtr path, ServiceUid uid) {
  auto options = kj::str("mode=0700,size=4m,uid=", uid, ",gid=", uid);
  mountAt("tmpfs", path.cStr(), MS_NOSUID | MS_NODEV | MS_NOEXEC, options.cStr());
}

void sealRoot() {
  KJ_SYSCALL(mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr));
}

kj::Maybe<kj::AutoCloseFd> openStatusTerminal() {
  // Type 0 is "unknown": a name without a port behind it.
  constexpr kj::StringPtr TYPE = "/sys/class/tty/ttyS1/type"_kj;
  if (access(TYPE.cStr(), R_OK) != 0 || readWholeFile(TYPE).startsWith("0")) return nullptr;
  int fd;
  KJ_SYSCALL(fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  kj::AutoCloseFd result(fd);
  termios raw;
  KJ_SYSCALL(tcgetattr(fd, &raw));
  cfmakeraw(&raw);
  cfsetspeed(&raw, B115200);
  KJ_SYSCALL(tcsetattr(fd, TCSANOW, &raw));
  return result;
}

void powerOff() {
  sync();
  tcdrain(STDOUT_FILENO);
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

}  // namespace nexus
