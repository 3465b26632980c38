#pragma once
// Bytes of a guest's serial port into lines. What comes out is safe to print and to store: printable ASCII and tabs;
// every other byte is '?'. Owned by the reader of one port. Knows neither markers nor time. The guest may write
// anything; memory stays bounded.
#include <kj/function.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus::vmtest {

class SerialLines {
 public:
  // Bytes of one line that are kept; the rest of a longer line is dropped and the line is counted in overlong().
  static constexpr size_t KEPT_MAX = 2048;

  // number counts from 1, as editors do for the log file.
  using OnLine = kj::FunctionParam<void(kj::StringPtr line, kj::uint number)>;

  // Every line that ends within these bytes, in order. LF ends a line; CRs before it are not part of it.
  void feed(kj::ArrayPtr<const kj::byte> bytes, OnLine onLine);

  // The port is closed: hands out what stands without its end, if anything does.
  void end(OnLine onLine);

  kj::uint count() const { return lines; }
  kj::uint overlong() const { return overlongLines; }

 private:
  void finish(OnLine& onLine);

  kj::Vector<char> current;
  bool truncated = false;
  kj::uint lines = 0;
  kj::uint overlongLines = 0;
};

}  // namespace nexus::vmtest
