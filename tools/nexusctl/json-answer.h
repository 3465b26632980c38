#pragma once
// A value of Cap'n Proto as the JSON tree of a report: what the library's codec makes of it, with every text cleaned,
// because it may come from another machine. Pure.
#include <capnp/dynamic.h>

#include "tools/nexusctl/report.h"

namespace nexus::ctl {

// 64-bit numbers are strings and Data is an array of numbers, as in capnp::JsonCodec.
Json jsonOf(capnp::DynamicStruct::Reader value);

// Null, or why the text does not describe such a value: unknown fields are an error. One clause.
kj::Maybe<kj::String> readJson(kj::StringPtr text, capnp::DynamicStruct::Builder value);

}  // namespace nexus::ctl
