#include "libs/oslite-frames/goldens.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include <fstream>
#include <string>

namespace nexus {

kj::Array<kj::byte> golden(kj::StringPtr name) {
  auto path = kj::str("libs/oslite-frames/goldens/", name, ".hex");
  std::ifstream file(path.cStr());
  KJ_REQUIRE(file.is_open(), "no such golden file", path);
  std::string line, digits;
  while (std::getline(file, line)) {
    for (char c : line.substr(0, line.find('#'))) {
      if (!isspace(static_cast<unsigned char>(c))) digits += c;
    }
  }
  auto bytes = kj::decodeHex(kj::arrayPtr(digits.data(), digits.size()));
  KJ_REQUIRE(!bytes.hadErrors, "not hexadecimal", path);
  return kj::mv(bytes);
}

}  // namespace nexus
