#pragma once
// What the bytes are that a service answered to a forwarded request. Pure.
namespace nexus {

enum class ReplyVerdict {
  NOT_A_REPLY,  // to that request, or something is in it that must stay on this node: it does not cross
  SAID_NO,      // a reply with a status that is not OK
  OK,
};

}  // namespace nexus
