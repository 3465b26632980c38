#include "tools/vmtest/vmtest-main.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"
#include "tools/vmtest/diagnosis.h"

namespace nexus::vmtest {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

struct Outcome {
  int code;
  kj::String out;
};

// The program with these arguments; what it prints on standard output.
Outcome program(std::initializer_list<kj::StringPtr> args) {
  TemporaryFolder folder;
  auto path = folder.write("out", "");
  kj::AutoCloseFd file(open(path.cStr(), O_RDWR | O_CLOEXEC)), before(dup(STDOUT_FILENO));
  KJ_SYSCALL(dup2(file, STDOUT_FILENO));
  kj::Vector<char*> argv;
  argv.add(const_cast<char*>("os2vm"));
  for (auto& arg : args) argv.add(const_cast<char*>(arg.cStr()));
  const Profile* const profiles[] = {&os2vmProfile()};
  int code = vmtestMain(int(argv.size()), argv.begin(), "os2vm", profiles, {"no kernel", "no initrd", "no version"});
  KJ_SYSCALL(dup2(before, STDOUT_FILENO));
  KJ_SYSCALL(lseek(file, 0, SEEK_SET));
  return {code, kj::FdInputStream(file.get()).readAllText()};
}

TEST_CASE("when the harness itself fails, --json still gives a summary on standard output") {
  TemporaryFolder temporary;
  auto folder = temporary.path();
  auto filesystem = kj::newDiskFilesystem();
  // A folder stands where the console's log has to go.
  auto out = filesystem->getRoot().openSubdir(kj::Path::parse(folder.slice(1)), kj::WriteMode::MODIFY);
  out->openSubdir(kj::Path("uart-A.log"), kj::WriteMode::CREATE);
  out->openFile(kj::Path("script"), kj::WriteMode::CREATE)->writeAll("hang\n");
  auto script = kj::str(folder, "/script");
  for (bool json : {true, false}) {
    auto args = {"--qemu"_kj,      "tools/vmtest/fake-qemu"_kj,
                 "--kernel"_kj,    script.asPtr(),
                 "--initrd"_kj,    "/bin/sh"_kj,
                 "--accel=tcg"_kj, "--out"_kj,
                 folder,           json ? "--json"_kj : "--keep"_kj};
    auto outcome = program(args);
    CHECK(outcome.code == EXIT_UNEXPECTED);
    CHECK(has(outcome.out, "\"errorCode\": \"OS2VM_E_UNEXPECTED\"") == json);
    if (json) CHECK(outcome.out.startsWith("{"));
    if (json) CHECK(has(outcome.out, "\"result\": \"failed\""));
  }
}

TEST_CASE("a disk that fills up while the guests run is no error of the harness: 62, and the remedy") {
  TemporaryFolder temporary;
  auto script = temporary.write("script", "[all]\nconsole hello\nhang\n");
  struct Full {
    kj::StringPtr file, until;
  };
  for (auto& full : {Full{"uart-A.log", "end"}, Full{"summary.json", "build"}}) {
    CAPTURE(full.file.cStr());
    TemporaryFolder out;
    KJ_SYSCALL(symlink("/dev/full", out.file(full.file).cStr()));  // whatever is written to it fails with ENOSPC
    auto outcome = program({"--qemu", "tools/vmtest/fake-qemu", "--kernel", script, "--initrd", "/bin/sh",
                            "--accel=tcg", "--phase", full.until, "--out", out.path(), "--json"});
    CHECK(outcome.code == EXIT_NO_SPACE);
    CHECK(has(outcome.out, "\"errorCode\": \"OS2VM_E_HOST_ENOSPC\""));
    CHECK(has(outcome.out, "free some space"));
  }
}

TEST_CASE("bad usage is 2, and the list takes the other options into account") {
  CHECK(program({"--wat"}).code == EXIT_USAGE);
  auto list = program({"--list", "--chaos", "kills"});
  CHECK(list.code == 0);
  CHECK(has(list.out, "kill dsoftbusd on B, recovery: budget 3.0 s"));
  CHECK(!has(list.out, "cut the link"));
}

}  // namespace
}  // namespace nexus::vmtest
