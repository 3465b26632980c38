#include "daemons/dsoftbusd/schema-rpc/read-schema.h"

#include <kj/filesystem.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"

namespace nexus {

kj::OneOf<kj::Array<kj::byte>, kj::String> readSchemaFile(kj::StringPtr path) {
  auto files = kj::newDiskFilesystem();
  kj::OneOf<kj::Array<kj::byte>, kj::String> result = kj::str("there is no such file");
  auto failed = kj::runCatchingExceptions([&] {
    auto opened = files->getRoot().tryOpenFile(files->getCurrentPath().evalNative(path));
    KJ_IF_MAYBE (file, opened) {
      if ((*file)->stat().size > MAX_SCHEMA_BYTES) {
        result = kj::str("the file is longer than 4 MiB");
      } else {
        result = (*file)->readAllBytes();
      }
    }
  });
  if (failed != nullptr) return kj::str("the file cannot be read");
  return result;
}

}  // namespace nexus
