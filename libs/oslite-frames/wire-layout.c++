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

}  // namespace
}  // namespace nexus::wire
