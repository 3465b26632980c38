#include "daemons/dsoftbusd/policy/audit-file.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/base/utc.h"

namespace nexus {

namespace {

// All texts are printable ASCII already (audit-log), so that these two are all that JSON wants escaped.
kj::String quoted(kj::StringPtr text) {
  kj::Vector<char> out;
  out.add('"');
  for (char c : printableText(text, text.size())) {
    if (c == '"' || c == '\\') out.add('\\');
    out.add(c);
  }
  out.add('"');
  return kj::heapString(out.begin(), out.size());
}

}  // namespace

AuditFile::AuditFile(kj::Own<LineFile> file, const kj::Clock& clock, kj::Timer& timer)
    : file(kj::mv(file)), clock(clock), timer(timer), complaints(1, 1, 1) {}

void AuditFile::begin(kj::StringPtr id, kj::StringPtr node) {
  boot = kj::str(id);
  append(kj::str(head("start"), ",\"node\":", quoted(node), '}'));
}

kj::String AuditFile::head(kj::StringPtr event, kj::Date time) const {
  return kj::str("{\"v\":", VERSION, ",\"boot\":", quoted(boot), ",\"time\":\"", utcText(time), "\",\"event\":\"",
                 event, '"');
}

void AuditFile::write(const AuditEntry& e) {
  if (e.change.size() > 0) {
    append(kj::str(head("change", e.utc), ",\"id\":", e.id, ",\"verdict\":\"", statusName(e.verdict),
                   "\",\"policy\":", e.policy.generation, ",\"change\":", quoted(e.change), '}'));
    return;
  }
  auto dryRun = e.policy.dryRun == idl::DryRunVerdict::SAME
                    ? kj::String()
                    : kj::str(",\"dryRun\":\"", dryRunName(e.policy.dryRun), '"');
  append(kj::str(head("decision", e.utc), ",\"id\":", e.id, ",\"peer\":", quoted(e.peer), ",\"service\":",
                 quoted(e.service), ",\"operation\":", quoted(e.operation), ",\"verdict\":\"", statusName(e.verdict),
                 "\",\"bytes\":", e.requestBytes, ",\"policy\":", e.policy.generation, dryRun, '}'));
}

void AuditFile::writeRepeats(const AuditEntry& e) {
  append(kj::str(head("repeats"), ",\"id\":", e.id, ",\"repeats\":", e.repeats, '}'));
}

void AuditFile::append(kj::StringPtr line) {
  auto missing = counts.lost - lostTold;
  if (missing > 0) {
    if (!tryAppend(kj::str(head("lost"), ",\"lost\":", missing, '}'))) {
      counts.lost++;
      return;
    }
    lostTold = counts.lost;
  }
  if (!tryAppend(line)) counts.lost++;
}

bool AuditFile::tryAppend(kj::StringPtr line) {
  auto failed = file->tryAppend(line);
  KJ_IF_MAYBE (why, failed) {
    auto lost = counts.lost + 1;
    if (complaints.tryTake("", timer.now())) KJ_LOG(ERROR, "the audit file cannot be written", *why, lost);
    return false;
  }
  counts.lines++;
  return true;
}

}  // namespace nexus
