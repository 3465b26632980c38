#include "tools/nexusctl/session-refusal.h"

namespace nexus::ctl {

kj::Maybe<Report> sessionRefusal(idl::DSoftBus::Outcome outcome, kj::StringPtr peer) {
  switch (outcome) {
    case idl::DSoftBus::Outcome::OK:
      return nullptr;
    case idl::DSoftBus::Outcome::UNKNOWN_PEER:
      return failure(Exit::NOT_FOUND, kj::str("There is no peer \"", peer, "\"."), "See: nexusctl bus peers.");
    case idl::DSoftBus::Outcome::NOT_TRUSTED:
      return failure(Exit::DENIED, kj::str("\"", peer, "\" and this node do not trust each other."),
                     "Both trust tables must name the other; see why: nexusctl bus peers.");
    case idl::DSoftBus::Outcome::UNREACHABLE:
      return failure(Exit::NOT_FOUND, kj::str("\"", peer, "\" cannot be reached from here."),
                     "See why: nexusctl bus peers.");
  }
  return failure(Exit::UNSUPPORTED, "The daemon answered with an outcome that this nexusctl does not know.");
}

}  // namespace nexus::ctl
