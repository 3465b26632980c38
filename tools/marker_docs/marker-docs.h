#pragma once
// docs/testing/markers.md, made from the marker table, the ladders and the failure codes. Pure.
#include <kj/string.h>

namespace nexus::vmtest {

kj::String markerDocs();

}  // namespace nexus::vmtest
