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

// Device first: what stands behind it is of no use without it, and sockets wait for whoever is not yet there.
constexpr Service TEST_SERVICES[] = {
    {.name = "virtionetd"_kj,
     .binary = "/bin/virtionetd"_kj,
     .uid = VIRTIONETD,
     .exports = {VIRTIONETD_EXPORTS},
     .imports = {},
     .device = true},
    {.name = "netstackd"_kj,
     .binary = "/bin/netstackd"_kj,
     .uid = NETSTACKD,
     .exports = {NETSTACKD_EXPORTS},
     .imports = {NETSTACKD_IMPORTS}},
    {.name = "samgrd"_kj, .binary = "/bin/samgrd"_kj, .uid = SAMGRD, .exports = {SAMGRD_EXPORTS}, .imports = {}},
    {.name = "bundlemgrd"_kj,
     .binary = "/bin/bundlemgrd"_kj,
     .uid = BUNDLEMGRD,
     .exports = {BUNDLEMGRD_EXPORTS},
     .imports = {}},
    {.name = "packagefsd"_kj,
     .binary = "/bin/packagefsd"_kj,
     .uid = PACKAGEFSD,
     .exports = {PACKAGEFSD_EXPORTS},
     .imports = {}},
    {.name = "statefsd"_kj,
     .binary = "/bin/statefsd"_kj,
     .uid = STATEFSD,
     .exports = {STATEFSD_EXPORTS},
     .imports = {},
     .stateFolder = "/var/lib/nexus/state"_kj},
    {.name = "dsoftbusd"_kj,
     .binary = "/bin/dsoftbusd"_kj,
     .uid = DSOFTBUSD,
     .exports = {DSOFTBUSD_EXPORTS},
     .imports = {DSOFTBUSD_IMPORTS}},
    {.name = "selftest"_kj,
     .binary = "/bin/selftest"_kj,
     .uid = SELFTEST_UID,
     .exports = {},
     .imports = {SELFTEST_IMPORTS},
     .oneShot = true},
};

}  // namespace

kj::Maybe<kj::ArrayPtr<const Service>> tryFindServices(kj::StringPtr profile) {
  if (profile == "qemu_test" || profile == "os2vm") return kj::ArrayPtr<const Service>(TEST_SERVICES);
  return nullptr;
}

kj::String socketPath(kj::StringPtr socket) {
  return kj::str(SOCKET_FOLDER, '/', socket, ".sock");
}

}  // namespace nexus
