#pragma once
// When an audit record was made, as the audit file writes it. Pure.
#include "idl/dsoftbus.capnp.h"
#include "libs/nexus-net-os/base/utc.h"

namespace nexus::ctl {

// RFC 3339, UTC; empty when the daemon does not tell.
inline kj::String auditTime(idl::AuditRecord::Reader record) {
  if (record.getUtcMs() == 0) return kj::String();
  return utcText(kj::UNIX_EPOCH + record.getUtcMs() * kj::MILLISECONDS);
}

}  // namespace nexus::ctl
