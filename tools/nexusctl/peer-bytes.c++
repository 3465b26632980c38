#include "tools/nexusctl/peer-bytes.h"

#include <kj/encoding.h>
#include <kj/filesystem.h>

namespace nexus::ctl {

kj::Maybe<kj::String> plainText(kj::ArrayPtr<const kj::byte> bytes) {
  for (auto b : bytes) {
    if (b != '\n' && b != '\t' && (b < 0x20 || b > 0x7e)) return nullptr;
  }
  return kj::str(bytes.asChars());
}

void setBytes(Json& json, kj::ArrayPtr<const kj::byte> bytes) {
  json.set("bytes", uint64_t(bytes.size())).set("base64", kj::encodeBase64(bytes));
  KJ_IF_MAYBE (text, plainText(bytes)) json.set("text", *text);
}

kj::Maybe<Report> replaceFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
  auto problem = kj::runCatchingExceptions([&] {
    auto disk = kj::newDiskFilesystem();
    auto native = disk->getCurrentPath().evalNative(path);
    auto file = disk->getRoot().replaceFile(native, kj::WriteMode::CREATE | kj::WriteMode::MODIFY);
    file->get().writeAll(bytes);
    file->get().sync();
    file->commit();
  });
  KJ_IF_MAYBE (exception, problem) {
    return failure(Exit::OTHER, kj::str("\"", path, "\" cannot be written: ", exception->getDescription()),
                   "Name a file in a folder that exists and that you may write to.");
  }
  return nullptr;
}

kj::OneOf<kj::Array<kj::byte>, Report> readSmallFile(kj::StringPtr path, size_t most) {
  kj::Maybe<kj::Array<kj::byte>> bytes;
  bool found = false;
  auto problem = kj::runCatchingExceptions([&] {
    auto disk = kj::newDiskFilesystem();
    auto maybeFile = disk->getRoot().tryOpenFile(disk->getCurrentPath().evalNative(path));
    KJ_IF_MAYBE (file, maybeFile) {
      found = true;
      auto content = kj::heapArray<kj::byte>(most + 1);
      auto n = (*file)->read(0, content);
      if (n <= most) bytes = kj::heapArray<kj::byte>(content.slice(0, n));
    }
  });
  if (problem != nullptr) return failure(Exit::DENIED, kj::str("The file ", path, " cannot be read."));
  if (!found) return failure(Exit::NOT_FOUND, kj::str("There is no file ", path, "."));
  KJ_IF_MAYBE (content, bytes) return kj::mv(*content);
  return failure(Exit::USAGE, kj::str("The file ", path, " has more than ", most, " bytes."));
}

Report fetchedReport(Json json, kj::StringPtr what, kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr outFile) {
  Report report;
  if (outFile.size() > 0) {
    auto problem = replaceFile(outFile, bytes);
    KJ_IF_MAYBE (wrong, problem) return kj::mv(*wrong);
    json.set("file", clean(outFile)).set("bytes", uint64_t(bytes.size()));
    report.text = kj::str(clean(outFile), ": ", bytes.size(), " bytes\n");
  } else {
    setBytes(json, bytes);
    KJ_IF_MAYBE (text, plainText(bytes)) {
      report.text = kj::str(*text, text->endsWith("\n") ? "" : "\n");
    } else {
      report.text = kj::str(clean(what), ": ", bytes.size(),
                            " bytes that are not plain text; have them with --out FILE", " or --json\n");
    }
  }
  report.json = kj::mv(json);
  return report;
}

}  // namespace nexus::ctl
