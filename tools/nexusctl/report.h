#pragma once
// What a command has to say, and how it is printed: as text for people or, with --json, as one JSON document with the
// same content. The only place of nexusctl that prints. Texts may come from other machines: whatever could steer a
// terminal is replaced here. Pure.
#include "tools/vmtest/json-tree.h"

namespace nexus::ctl {

using vmtest::Json;

// The exit status of nexusctl: scripts rely on these numbers.
enum class Exit : int {
  OK = 0,
  OTHER = 1,        // anything that has no number of its own; failed expectations of `policy test`
  USAGE = 2,        // the command line
  DENIED = 3,       // a policy or the system does not allow it
  NOT_FOUND = 4,    // no such peer, file or record; a peer that cannot be reached
  NOT_RUNNING = 5,  // the daemon
  TIMED_OUT = 6,    // no answer within --timeout
  UNSUPPORTED = 7,  // the daemon does not know the call
  BAD_CONFIG = 8,   // a configuration, identity or expectation file
};
kj::StringPtr exitName(Exit exit);  // "not-running": `error.kind` in JSON

struct Report {
  Exit exit = Exit::OK;
  kj::String text;      // whole lines
  Json json;            // an object
  bool failed = false;  // there is no answer: the text goes to standard error
};

// One sentence and, if there is one, what to do about it.
Report failure(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy = nullptr);

// What `error` holds in a document that tells of a failure.
Json errorJson(Exit exit, kj::StringPtr sentence, kj::StringPtr remedy = nullptr);

// An object whose first field names the shape of the rest: "nexus.peers/1". The number changes when a field goes or
// changes its meaning; new fields may come at any time.
Json document(kj::StringPtr schema);

struct Printed {
  kj::String out, err;
};
Printed print(const Report& report, bool asJson);

// Rows under a heading, in aligned columns.
class Table {
 public:
  explicit Table(kj::Array<kj::String> heading) { add(kj::mv(heading)); }
  void add(kj::Array<kj::String> row) { rows.add(kj::mv(row)); }
  kj::String text() const;

 private:
  kj::Vector<kj::Array<kj::String>> rows;
};

template <typename... Cells>
kj::Array<kj::String> row(Cells&&... cells) {
  return kj::arr(kj::str(kj::fwd<Cells>(cells))...);
}

// Everything outside printable ASCII becomes '?'.
kj::String clean(kj::StringPtr text);

// "1.2s", "3m05s", "2h03m".
kj::String durationText(uint64_t milliseconds);

}  // namespace nexus::ctl
