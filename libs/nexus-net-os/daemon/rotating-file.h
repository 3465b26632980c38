#pragma once
// A file of lines that only grows, and is put aside when it is large: NAME, then NAME.1 (the youngest of the older
// ones) to NAME.K; the one after the last is gone. Owned by main. Everything that a sandbox must let happen later
// happens through the folder's descriptor (SandboxFolders::writable). Knows nothing of what the lines say.
//
// A line is in the file whole or not at all, as far as readers see lines: what a full disk cut off is ended before the
// next line, so a reader has only to skip a line that it cannot read. Lines are handed to the kernel, not forced to the
// disk: a crash of the process loses none, a crash of the machine may lose the last.
#include <kj/io.h>
#include <kj/string.h>

namespace nexus {

class LineFile {
 public:
  virtual ~LineFile() noexcept(false) = default;

  // Appends the line (without its end, which is added here). Null when it was written, else why not; never throws.
  virtual kj::Maybe<kj::String> tryAppend(kj::StringPtr line) = 0;
};

class RotatingFile final : public LineFile {
 public:
  // Opens the file, or makes it with mode 0600. maxBytes: no file is larger, except for a single longer line. kept:
  // older files, at least 1. FAILED with a sentence when it cannot be opened, is no regular file of this user's alone,
  // or stands in a folder where others could replace it.
  RotatingFile(kj::StringPtr path, uint64_t maxBytes, kj::uint kept);
  KJ_DISALLOW_COPY_AND_MOVE(RotatingFile);

  kj::Maybe<kj::String> tryAppend(kj::StringPtr line) override;

  uint64_t rotationCount() const { return rotations; }
  int folderFd() const { return folder; }

 private:
  kj::String path, name;
  uint64_t maxBytes;
  kj::uint kept;
  kj::AutoCloseFd folder, file;
  uint64_t size = 0;
  bool torn = false;      // the last line has no end
  bool putAside = false;  // the full file has its new name, but there is no new one yet
  uint64_t rotations = 0;

  void open();
  kj::Maybe<kj::String> rotate();
  kj::String nameOf(kj::uint generation) const;
};

}  // namespace nexus
