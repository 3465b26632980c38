#include "selftest/step-runner.h"

#include <kj/debug.h>

namespace nexus {

namespace {

// What went wrong, without the place in the source: "gateway does not answer".
kj::String reasonOf(const kj::Exception& exception) {
  auto text = exception.getDescription();
  return text.size() == 0 ? kj::str("no reason given") : kj::heapString(text);
}

}  // namespace

kj::Promise<bool> StepRunner::step(const Marker& marker, kj::Duration deadline, Body body) {
  kj::Maybe<kj::String> reason;
  auto limit = scaled(deadline);
  try {
    co_await timer.timeoutAfter(limit, kj::evalNow(body));
  } catch (const kj::Exception& e) {
    if (e.getType() == kj::Exception::Type::OVERLOADED && e.getDescription() == "operation timed out"_kj) {
      reason = kj::str("not done within ", limit / kj::MILLISECONDS, " ms");
    } else {
      reason = reasonOf(e);
    }
  }
  KJ_IF_MAYBE (why, reason) {
    failed++;
    co_await sink.failed(marker, *why);
    co_return false;
  }
  co_await sink.passed(marker, nullptr);
  co_return true;
}

kj::Promise<bool> StepRunner::verdict(const Marker& marker, kj::Maybe<kj::String> fault, kj::String detail) {
  KJ_IF_MAYBE (why, fault) {
    failed++;
    co_await sink.failed(marker, *why);
    co_return false;
  }
  co_await sink.passed(marker, detail);
  co_return true;
}

kj::Promise<void> StepRunner::retry(kj::Duration limit, kj::Duration interval, Body attempt) {
  auto end = timer.now() + scaled(limit);
  for (;;) {
    kj::Maybe<kj::Exception> failure;
    try {
      co_await kj::evalNow(attempt);
      co_return;
    } catch (const kj::Exception& e) {
      failure = kj::cp(e);
    }
    if (timer.now() + interval > end) kj::throwFatalException(kj::mv(KJ_ASSERT_NONNULL(failure)));
    co_await timer.afterDelay(interval);
  }
}

void failStep(kj::StringPtr reason) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(reason)));
}

kj::String failDetail(kj::StringPtr reason) {
  auto clean = kj::heapString(reason);
  for (char& c : clean) {
    if (c < 0x20 || c >= 0x7f) c = '?';
  }
  return kj::str(" (", clean, ")");
}

kj::String failLine(const Marker& marker, kj::StringPtr reason) {
  constexpr kj::StringPtr OK = " ok"_kj;
  auto text = marker.text;
  auto stem = text.endsWith(OK) ? text.slice(0, text.size() - OK.size()) : text.asArray();
  return kj::str(stem, " FAIL", failDetail(reason));
}

}  // namespace nexus
