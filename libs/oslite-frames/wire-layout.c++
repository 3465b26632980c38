// Pins size and offset of every field of oslite.fbs. The generated structs hide their fields, so this one file is
// compiled without access control; it contains nothing but these checks.
#include <cstddef>
#include <type_traits>

#include "libs/oslite-frames/oslite_generated.h"

namespace nexus::wire {
namespace {

#define PIN_SIZE(type, bytes) \
  static_assert(sizeof(type) == (bytes) && alignof(type) == 1 && std::is_trivially_copyable_v<type>)
#define PIN(type, field, offset, bytes) \
  static_assert(offsetof(type, field##_) == (offset) && sizeof(type::field##_) == (bytes))

PIN_SIZE(Header, 4);
PIN(Header, magic, 0, 2);
PIN(Header, version, 2, 1);
PIN(Header, op, 3, 1);

PIN_SIZE(Nonce, 8);
PIN(Nonce, value, 0, 8);

PIN_SIZE(SmRegister, 13);
PIN(SmRegister, header, 0, 4);
PIN(SmRegister, name_length, 4, 1);
PIN(SmRegister, send_slot, 5, 4);
PIN(SmRegister, recv_slot, 9, 4);

PIN_SIZE(SmNamed, 5);
PIN(SmNamed, header, 0, 4);
PIN(SmNamed, name_length, 4, 1);

PIN_SIZE(SmSenderPid, 8);
PIN(SmSenderPid, header, 0, 4);
PIN(SmSenderPid, filler, 4, 4);

PIN_SIZE(SmReply, 13);
PIN(SmReply, header, 0, 4);
PIN(SmReply, status, 4, 1);
PIN(SmReply, send_slot, 5, 4);
PIN(SmReply, recv_slot, 9, 4);

PIN_SIZE(SmPong, 4);
PIN(SmPong, text, 0, 4);

PIN_SIZE(SmSenderPidReply, 9);
PIN(SmSenderPidReply, header, 0, 4);
PIN(SmSenderPidReply, status, 4, 1);
PIN(SmSenderPidReply, pid, 5, 4);

PIN_SIZE(SmSenderIdReply, 13);
PIN(SmSenderIdReply, header, 0, 4);
PIN(SmSenderIdReply, status, 4, 1);
PIN(SmSenderIdReply, id, 5, 8);

PIN_SIZE(BnNamed, 5);
PIN(BnNamed, header, 0, 4);
PIN(BnNamed, name_length, 4, 1);

PIN_SIZE(BnFault, 8);
PIN(BnFault, header, 0, 4);
PIN(BnFault, status, 4, 1);
PIN(BnFault, reserved, 5, 3);

PIN_SIZE(BnListReply, 8);
PIN(BnListReply, header, 0, 4);
PIN(BnListReply, status, 4, 1);
PIN(BnListReply, count, 5, 2);
PIN(BnListReply, reserved, 7, 1);

PIN_SIZE(BnRouteReply, 8);
PIN(BnRouteReply, header, 0, 4);
PIN(BnRouteReply, status, 4, 1);
PIN(BnRouteReply, route_status, 5, 1);
PIN(BnRouteReply, reserved, 6, 2);

PIN_SIZE(BnImageReply, 9);
PIN(BnImageReply, header, 0, 4);
PIN(BnImageReply, status, 4, 1);
PIN(BnImageReply, length, 5, 4);

PIN_SIZE(BnQueryReply, 7);
PIN(BnQueryReply, header, 0, 4);
PIN(BnQueryReply, status, 4, 1);
PIN(BnQueryReply, installed, 5, 1);
PIN(BnQueryReply, version_length, 6, 1);

PIN_SIZE(NxbiHeader, 7);
PIN(NxbiHeader, magic, 0, 4);
PIN(NxbiHeader, version, 4, 1);
PIN(NxbiHeader, count, 5, 2);

PIN_SIZE(NxbiLength8, 1);
PIN(NxbiLength8, value, 0, 1);

PIN_SIZE(NxbiLength16, 2);
PIN(NxbiLength16, value, 0, 2);

PIN_SIZE(NxbiDataHeader, 6);
PIN(NxbiDataHeader, kind, 0, 2);
PIN(NxbiDataHeader, length, 2, 4);

PIN_SIZE(PkPath, 6);
PIN(PkPath, header, 0, 4);
PIN(PkPath, path_length, 4, 2);

PIN_SIZE(PkRead, 14);
PIN(PkRead, header, 0, 4);
PIN(PkRead, handle, 4, 4);
PIN(PkRead, offset, 8, 4);
PIN(PkRead, length, 12, 2);

PIN_SIZE(PkClose, 8);
PIN(PkClose, header, 0, 4);
PIN(PkClose, handle, 4, 4);

PIN_SIZE(PkStatus, 5);
PIN(PkStatus, header, 0, 4);
PIN(PkStatus, status, 4, 1);

PIN_SIZE(PkStatReply, 15);
PIN(PkStatReply, header, 0, 4);
PIN(PkStatReply, status, 4, 1);
PIN(PkStatReply, size, 5, 8);
PIN(PkStatReply, kind, 13, 2);

PIN_SIZE(PkOpenReply, 9);
PIN(PkOpenReply, header, 0, 4);
PIN(PkOpenReply, status, 4, 1);
PIN(PkOpenReply, handle, 5, 4);

PIN_SIZE(PkReadReply, 7);
PIN(PkReadReply, header, 0, 4);
PIN(PkReadReply, status, 4, 1);
PIN(PkReadReply, length, 5, 2);

PIN_SIZE(SfPut, 6);
PIN(SfPut, key_length, 0, 2);
PIN(SfPut, value_length, 2, 4);

PIN_SIZE(SfKeyed, 2);
PIN(SfKeyed, key_length, 0, 2);

PIN_SIZE(SfList, 4);
PIN(SfList, prefix_length, 0, 2);
PIN(SfList, limit, 2, 2);

PIN_SIZE(SfReply, 5);
PIN(SfReply, header, 0, 4);
PIN(SfReply, status, 4, 1);

PIN_SIZE(SfValue, 4);
PIN(SfValue, value_length, 0, 4);

PIN_SIZE(SfKeyCount, 2);
PIN(SfKeyCount, count, 0, 2);

PIN_SIZE(SfKeyLength, 2);
PIN(SfKeyLength, length, 0, 2);

}  // namespace
}  // namespace nexus::wire
