#pragma once
// How initd refuses to go on: an exception whose description is one sentence for the person who started the guest,
// without the condition that was false.
#include <kj/exception.h>

namespace nexus {

[[noreturn]] inline void refuse(kj::String sentence) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::mv(sentence)));
}

}  // namespace nexus
