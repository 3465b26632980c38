#include "daemons/dsoftbusd/bus/answer-credit.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

TEST_CASE("only after a session has ended are announcements answered, spaced, and no more than a few of them") {
  auto now = kj::origin<kj::TimePoint>();
  AnswerCredit credit;
  CHECK_FALSE(credit.take(now));
  credit.sessionEnded();
  for (kj::uint i = 0; i < AnswerCredit::PER_SESSION; i++) {
    CHECK(credit.take(now));
    CHECK_FALSE(credit.take(now + AnswerCredit::SPACING - 1 * kj::NANOSECONDS));
    now += AnswerCredit::SPACING;
  }
  CHECK_FALSE(credit.take(now));
  credit.sessionEnded();
  CHECK(credit.take(now));
}

TEST_CASE("a session that is live again needs no answers") {
  auto now = kj::origin<kj::TimePoint>();
  AnswerCredit credit;
  credit.sessionEnded();
  credit.sessionLive();
  CHECK_FALSE(credit.take(now));
}

}  // namespace
}  // namespace nexus
