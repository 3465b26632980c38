#pragma once
// Reads the golden files of this folder: hexadecimal digits, white space between them ignored, "#" to the end of the
// line a comment.
#include <kj/array.h>
#include <kj/string.h>

namespace nexus {

// goldens/NAME.hex, as bytes.
kj::Array<kj::byte> golden(kj::StringPtr name);

}  // namespace nexus
