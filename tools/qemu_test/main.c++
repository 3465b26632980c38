// One guest on QEMU's user network. No logic here.
#include "tools/vmtest/vmtest-main.h"

int main(int argc, char** argv) {
  const nexus::vmtest::Profile* const profiles[] = {&nexus::vmtest::qemuTestProfile(),
                                                    &nexus::vmtest::dmaIsolationControlProfile()};
  return nexus::vmtest::vmtestMain(argc, argv, "qemu_test", profiles,
                                   {"tools/guest/vmlinuz", "tools/guest/initramfs.cpio", "tools/guest/kernel-version"});
}
