// Two guests on one link. No logic here.
#include "tools/vmtest/vmtest-main.h"

int main(int argc, char** argv) {
  const nexus::vmtest::Profile* const profiles[] = {&nexus::vmtest::os2vmProfile()};
  return nexus::vmtest::vmtestMain(argc, argv, "os2vm", profiles,
                                   {"tools/guest/vmlinuz", "tools/guest/initramfs.cpio", "tools/guest/kernel-version"});
}
