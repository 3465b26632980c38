#pragma once
// Bytes of a peer on their way to a person, a file or a JSON document, and back: never as they are onto a terminal.
#include "tools/nexusctl/report.h"

namespace nexus::ctl {

// The bytes as text if all of them are printable ASCII, line feeds or tabs; null if a terminal should not have them.
kj::Maybe<kj::String> plainText(kj::ArrayPtr<const kj::byte> bytes);

// Adds "bytes", "base64" and, where it is plain, "text".
void setBytes(Json& json, kj::ArrayPtr<const kj::byte> bytes);

// Puts the bytes in the place of what is at that path, all of them or nothing; what went wrong.
kj::Maybe<Report> replaceFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes);

// A whole file of at most `most` bytes, or what to tell the user.
kj::OneOf<kj::Array<kj::byte>, Report> readSmallFile(kj::StringPtr path, size_t most);

// The report of bytes that were fetched: into the file if one is named, else as text if they are plain.
Report fetchedReport(Json json, kj::StringPtr what, kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr outFile);

}  // namespace nexus::ctl
