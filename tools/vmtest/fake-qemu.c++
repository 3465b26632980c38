// Stands in for QEMU in the tests of the harness: it takes QEMU's command line, and what the guest "does" is a script
// given as -kernel.
//   [a] [b] [all]      the lines that follow are for that node
//   console TEXT       a line on the console          status TEXT     a line on the status channel
//   stderr TEXT        a line of QEMU's own
//   frame HEX          a frame into the capture       exit N          QEMU ends
//   poweroff           waits for that command, then ends with 0
//   wait TEXT          waits for that line from the harness
//   hang               waits to be killed
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

namespace {

struct Arguments {
  std::string script, append, accel;
  int console = -1, status = -1, capture = -1;
};

// The number behind `key` in `text`, or -1.
int numberAfter(const std::string& text, const std::string& key) {
  auto at = text.find(key);
  return at == std::string::npos ? -1 : atoi(text.c_str() + at + key.size());
}

Arguments readArguments(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i + 1 < argc; i++) {
    std::string name = argv[i], value = argv[i + 1];
    if (name == "-kernel") out.script = value;
    if (name == "-append") out.append = value;
    if (name == "-accel") out.accel = value;
    if (name == "-chardev" && value.find("id=console") != std::string::npos) out.console = numberAfter(value, "fd=");
    if (name == "-chardev" && value.find("id=status") != std::string::npos) out.status = numberAfter(value, "fd=");
    if (name == "-object") out.capture = numberAfter(value, "/dev/fd/");
  }
  return out;
}

void say(int fd, const std::string& text) {
  if (fd < 0) return;
  auto line = text + "\r\n";
  if (write(fd, line.data(), line.size()) < 0) _exit(1);
}

void put32(std::string& out, uint32_t v) {
  out.append(reinterpret_cast<char*>(&v), 4);
}

void captureHeader(int fd) {
  std::string out;
  for (uint32_t v : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65536u, 1u}) put32(out, v);
  if (write(fd, out.data(), out.size()) < 0) _exit(1);
}

void captureFrame(int fd, const std::string& hex) {
  static uint32_t seconds = 1000;
  std::string frame, out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) frame.push_back(char(strtol(hex.substr(i, 2).c_str(), nullptr, 16)));
  for (uint32_t v : {++seconds, 0u, uint32_t(frame.size()), uint32_t(frame.size())}) put32(out, v);
  out += frame;
  if (write(fd, out.data(), out.size()) < 0) _exit(1);
}

void waitFor(int fd, const std::string& command) {
  std::string line;
  char c;
  while (read(fd, &c, 1) == 1) {
    if (c != '\n') {
      line.push_back(c);
    } else if (line == command) {
      return;
    } else {
      line.clear();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--version") {
    std::cout << "QEMU emulator version 0.0.1 (fake)" << std::endl;
    return 0;
  }
  auto args = readArguments(argc, argv);
  std::string section = args.append.find("nexus.node=b") != std::string::npos ? "[b]" : "[a]", current = "[all]", line;
  if (args.capture >= 0) captureHeader(args.capture);
  std::ifstream script(args.script);
  while (std::getline(script, line)) {
    if (!line.empty() && line[0] == '[') {
      current = line;
      continue;
    }
    if (current != "[all]" && current != section) continue;
    auto space = line.find(' ');
    auto verb = line.substr(0, space), rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (verb == "console") say(args.console, rest);
    if (verb == "status") say(args.status, rest);
    if (verb == "stderr") std::cerr << rest << std::endl;
    if (verb == "frame" && args.capture >= 0) captureFrame(args.capture, rest);
    if (verb == "exit") _exit(atoi(rest.c_str()));
    if (verb == "wait") waitFor(args.status, rest);
    if (verb == "poweroff") waitFor(args.status, "poweroff"), _exit(0);
    if (verb == "hang") pause();
  }
  pause();
}
