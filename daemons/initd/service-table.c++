#include "daemons/initd/service.h"

namespace nexus {

namespace {

constexpr ServiceUid ROOT = 0;
constexpr ServiceUid VIRTIONETD = 1001;
constexpr ServiceUid NETSTACKD = 1002;
constexpr ServiceUid SAMGRD = 1003;
constexpr ServiceUid BUNDLEMGRD = 1004;
constexpr ServiceUid DSOFTBUSD = 1005;
constexpr ServiceUid PACKAGEFSD = 1006;
constexpr ServiceUid STATEFSD = 1007;
constexpr ServiceUid DSOFTBUSD_B = 1008;  // the second node of qemu_test

constexpr ServiceExport VIRTIONETD_EXPORTS[] = {{"nic"_kj, NETSTACKD}, {"status-virtionetd"_kj, ROOT}};

constexpr ServiceExport NETSTACKD_EXPORTS[] = {
    {"net"_kj, SELFTEST_UID}, {"net-dsoftbusd"_kj, DSOFTBUSD}, {"status-netstackd"_kj, ROOT}};
constexpr ServiceImport NETSTACKD_IMPORTS[] = {{"nic"_kj, "nic"_kj}};

constexpr ServiceExport SAMGRD_EXPORTS[] = {
    {"samgr-selftest"_kj, SELFTEST_UID}, {"samgr-dsoftbusd"_kj, DSOFTBUSD}, {"status-samgrd"_kj, ROOT}};

constexpr ServiceExport BUNDLEMGRD_EXPORTS[] = {
    {"bundlemgr-selftest"_kj, SELFTEST_UID}, {"bundlemgr-dsoftbusd"_kj, DSOFTBUSD}, {"status-bundlemgrd"_kj, ROOT}};

constexpr ServiceExport PACKAGEFSD_EXPORTS[] = {{"packagefs-dsoftbusd"_kj, DSOFTBUSD}, {"status-packagefsd"_kj, ROOT}};

constexpr ServiceExport STATEFSD_EXPORTS[] = {{"statefs-dsoftbusd"_kj, DSOFTBUSD}, {"status-statefsd"_kj, ROOT}};

constexpr ServiceExport DSOFTBUSD_EXPORTS[] = {{"bus"_kj, SELFTEST_UID}, {"status-dsoftbusd"_kj, ROOT}};
constexpr ServiceImport DSOFTBUSD_IMPORTS[] = {{"net"_kj, "net-dsoftbusd"_kj},
                                               {"samgr"_kj, "samgr-dsoftbusd"_kj},
                                               {"bundlemgr"_kj, "bundlemgr-dsoftbusd"_kj},
                                               {"packagefs"_kj, "packagefs-dsoftbusd"_kj},
                                               {"statefs"_kj, "statefs-dsoftbusd"_kj}};

constexpr ServiceImport SELFTEST_IMPORTS[] = {{"net"_kj, "net"_kj},
                                              {"samgr"_kj, "samgr-selftest"_kj},
                                              {"bundlemgr"_kj, "bundlemgr-selftest"_kj},
                                              {"bus"_kj, "bus"_kj},
                                              {"supervisor"_kj, "supervisor"_kj}};

constexpr Service VIRTIONETD_SERVICE{.name = "virtionetd"_kj,
                                     .binary = "/bin/virtionetd"_kj,
                                     .uid = VIRTIONETD,
                                     .exports = {VIRTIONETD_EXPORTS},
                                     .imports = {},
                                     .device = true};
constexpr Service PACKAGEFSD_SERVICE{.name = "packagefsd"_kj,
                                     .binary = "/bin/packagefsd"_kj,
                                     .uid = PACKAGEFSD,
                                     .exports = {PACKAGEFSD_EXPORTS},
                                     .imports = {}};
constexpr Service STATEFSD_SERVICE{.name = "statefsd"_kj,
                                   .binary = "/bin/statefsd"_kj,
                                   .uid = STATEFSD,
                                   .exports = {STATEFSD_EXPORTS},
                                   .imports = {},
                                   .stateFolder = "/var/lib/nexus/state"_kj};
constexpr Service DSOFTBUSD_SERVICE{.name = "dsoftbusd"_kj,
                                    .binary = "/bin/dsoftbusd"_kj,
                                    .uid = DSOFTBUSD,
                                    .exports = {DSOFTBUSD_EXPORTS},
                                    .imports = {DSOFTBUSD_IMPORTS}};

constexpr Service netstackd(kj::ArrayPtr<const ServiceExport> exports) {
  return {.name = "netstackd"_kj,
          .binary = "/bin/netstackd"_kj,
          .uid = NETSTACKD,
          .exports = exports,
          .imports = {NETSTACKD_IMPORTS}};
}
constexpr Service samgrd(kj::ArrayPtr<const ServiceExport> exports) {
  return {.name = "samgrd"_kj, .binary = "/bin/samgrd"_kj, .uid = SAMGRD, .exports = exports, .imports = {}};
}
constexpr Service bundlemgrd(kj::ArrayPtr<const ServiceExport> exports) {
  return {
      .name = "bundlemgrd"_kj, .binary = "/bin/bundlemgrd"_kj, .uid = BUNDLEMGRD, .exports = exports, .imports = {}};
}
constexpr Service selftest(kj::ArrayPtr<const ServiceImport> imports) {
  return {.name = "selftest"_kj,
          .binary = "/bin/selftest"_kj,
          .uid = SELFTEST_UID,
          .exports = {},
          .imports = imports,
          .oneShot = true};
}

// Device first: what stands behind it is of no use without it, and sockets wait for whoever is not yet there.
constexpr Service OS2VM_SERVICES[] = {
    VIRTIONETD_SERVICE,     netstackd(NETSTACKD_EXPORTS),
    samgrd(SAMGRD_EXPORTS), bundlemgrd(BUNDLEMGRD_EXPORTS),
    PACKAGEFSD_SERVICE,     STATEFSD_SERVICE,
    DSOFTBUSD_SERVICE,      selftest(SELFTEST_IMPORTS),
};

// qemu_test ----------------------------------------
// A second node on the same stack: a dsoftbusd of its own, under its own user, with what belongs to it alone. It offers
// nothing but streams, and shares samgrd and bundlemgrd with the first.

constexpr ServiceExport DUAL_NETSTACKD_EXPORTS[] = {{"net"_kj, SELFTEST_UID},
                                                    {"net-dsoftbusd"_kj, DSOFTBUSD},
                                                    {"net-dsoftbusd-b"_kj, DSOFTBUSD_B},
                                                    {"status-netstackd"_kj, ROOT}};
constexpr ServiceExport DUAL_SAMGRD_EXPORTS[] = {{"samgr-selftest"_kj, SELFTEST_UID},
                                                 {"samgr-dsoftbusd"_kj, DSOFTBUSD},
                                                 {"samgr-dsoftbusd-b"_kj, DSOFTBUSD_B},
                                                 {"status-samgrd"_kj, ROOT}};
constexpr ServiceExport DUAL_BUNDLEMGRD_EXPORTS[] = {{"bundlemgr-selftest"_kj, SELFTEST_UID},
                                                     {"bundlemgr-dsoftbusd"_kj, DSOFTBUSD},
                                                     {"bundlemgr-dsoftbusd-b"_kj, DSOFTBUSD_B},
                                                     {"status-bundlemgrd"_kj, ROOT}};
constexpr ServiceExport DSOFTBUSD_B_EXPORTS[] = {{"bus-b"_kj, SELFTEST_UID, "bus"_kj},
                                                 {"status-dsoftbusd-b"_kj, ROOT, "status-dsoftbusd"_kj}};
constexpr ServiceImport DSOFTBUSD_B_IMPORTS[] = {{"net"_kj, "net-dsoftbusd-b"_kj},
                                                 {"samgr"_kj, "samgr-dsoftbusd-b"_kj},
                                                 {"bundlemgr"_kj, "bundlemgr-dsoftbusd-b"_kj}};
constexpr ServiceImport DUAL_SELFTEST_IMPORTS[] = {
    {"net"_kj, "net"_kj}, {"samgr"_kj, "samgr-selftest"_kj}, {"bundlemgr"_kj, "bundlemgr-selftest"_kj},
    {"bus"_kj, "bus"_kj}, {"bus-b"_kj, "bus-b"_kj},          {"supervisor"_kj, "supervisor"_kj}};

constexpr Service QEMU_TEST_SERVICES[] = {
    VIRTIONETD_SERVICE,
    netstackd(DUAL_NETSTACKD_EXPORTS),
    samgrd(DUAL_SAMGRD_EXPORTS),
    bundlemgrd(DUAL_BUNDLEMGRD_EXPORTS),
    PACKAGEFSD_SERVICE,
    STATEFSD_SERVICE,
    DSOFTBUSD_SERVICE,
    {.name = "dsoftbusd-b"_kj,
     .binary = "/bin/dsoftbusd"_kj,
     .uid = DSOFTBUSD_B,
     .exports = {DSOFTBUSD_B_EXPORTS},
     .imports = {DSOFTBUSD_B_IMPORTS}},
    selftest(DUAL_SELFTEST_IMPORTS),
};

}  // namespace

kj::Maybe<kj::ArrayPtr<const Service>> tryFindServices(kj::StringPtr profile) {
  if (profile == "qemu_test") return kj::ArrayPtr<const Service>(QEMU_TEST_SERVICES);
  if (profile == "os2vm") return kj::ArrayPtr<const Service>(OS2VM_SERVICES);
  return nullptr;
}

kj::String socketPath(kj::StringPtr socket, kj::StringPtr folder) {
  return kj::str(folder, '/', socket, ".sock");
}

}  // namespace nexus
