#pragma once
// Whether bytes are UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF. For the codecs of this
// folder.
#include <kj/array.h>

namespace nexus::oslite {

bool isUtf8(kj::ArrayPtr<const char> text);

}  // namespace nexus::oslite
