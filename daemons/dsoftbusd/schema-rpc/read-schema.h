#pragma once
// Reads the file of a compiled schema, for schema-file.h. The one part of calls between nodes that touches a disk.
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

namespace nexus {

// The bytes of a file of at most MAX_SCHEMA_BYTES, or what is wrong with it: one clause.
kj::OneOf<kj::Array<kj::byte>, kj::String> readSchemaFile(kj::StringPtr path);

}  // namespace nexus
