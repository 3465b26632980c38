#include "tools/vmtest/qemu-command.h"

namespace nexus::vmtest {

namespace {

kj::String kernelCommandLine(const GuestSpec& spec) {
  // no_timer_check: on a busy host the emulated timer may be late for the kernel's early check, which then panics.
  // panic=-1 with -no-reboot: a panic ends QEMU at once. loglevel: only errors of the kernel may come between the
  // markers.
  auto words =
      kj::str("console=ttyS0 panic=-1 no_timer_check quiet loglevel=4 intel_iommu=on nexus.profile=", spec.profile,
              " nexus.node=", spec.node == 0 ? "a" : "b");
  for (auto& flag : spec.guestFlags) words = kj::str(words, ' ', flag);
  return words;
}

}  // namespace

kj::Vector<kj::String> qemuCommand(const GuestSpec& spec) {
  kj::Vector<kj::String> args;
  auto add = [&](auto&&... parts) { args.add(kj::str(parts...)); };
  add(spec.qemu);
  add("-name"), add("nexus-net-", spec.node == 0 ? 'a' : 'b');
  add("-accel"), add(spec.accel == Accel::KVM ? "kvm" : "tcg,thread=multi");
  // KVM's own interrupt controller cannot remap interrupts.
  add("-machine"), add(spec.accel == Accel::KVM ? "q35,kernel-irqchip=split" : "q35");
  add("-cpu"), add("max");
  add("-smp"), add("1");
  add("-m"), add(spec.memoryMiB);
  add("-nodefaults"), add("-no-user-config"), add("-no-reboot");
  add("-display"), add("none");
  add("-kernel"), add(spec.kernel);
  add("-initrd"), add(spec.initrd);
  add("-append"), add(kernelCommandLine(spec));
  add("-device"), add("intel-iommu,intremap=on,caching-mode=on");
  KJ_IF_MAYBE (fd, spec.linkFd) {
    add("-netdev"), add("dgram,id=n0,local.type=fd,local.str=", *fd);
  } else {
    add("-netdev"), add("user,id=n0");
  }
  add("-device"), add("virtio-net-pci,netdev=n0,disable-legacy=on,iommu_platform=", spec.iommuPlatform ? "on" : "off",
                      ",mac=", spec.mac);
  KJ_IF_MAYBE (fd, spec.captureFd) add("-object"), add("filter-dump,id=dump0,netdev=n0,file=/dev/fd/", *fd);
  add("-chardev"), add("socket,id=console,fd=", spec.consoleFd);
  add("-serial"), add("chardev:console");
  add("-chardev"), add("socket,id=status,fd=", spec.statusFd);
  add("-serial"), add("chardev:status");
  return args;
}

kj::String shellQuoted(kj::ArrayPtr<const kj::String> arguments) {
  auto quoted = KJ_MAP(argument, arguments)->kj::String {
    bool plain = argument.size() > 0;
    for (char c : argument) {
      plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                        c == '_' || c == '.' || c == '/' || c == ',' || c == '=' || c == ':' || c == '+');
    }
    if (plain) return kj::str(argument);
    kj::Vector<char> out;
    for (char c : argument) {
      if (c == '\'') {
        out.addAll("'\\''"_kj);
      } else {
        out.add(c);
      }
    }
    return kj::str('\'', kj::heapString(out), '\'');
  };
  return kj::strArray(quoted, " ");
}

}  // namespace nexus::vmtest
