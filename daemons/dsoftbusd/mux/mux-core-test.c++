#include "daemons/dsoftbusd/mux/mux-core.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include <algorithm>
#include <set>
#include <string>

namespace nexus {
namespace {

kj::Array<kj::byte> bytes(size_t n, kj::byte fill = 'x') {
  auto result = kj::heapArray<kj::byte>(n);
  memset(result.begin(), fill, n);
  return result;
}

// One end, and frames of a peer written by hand.
struct End {
  MuxCore core;
  explicit End(MuxRole role = MuxRole::INITIATOR, MuxLimits limits = {})
      : core(role, MuxSession::AUTHENTICATED, limits) {}

  MuxStreamId open(kj::StringPtr name, kj::byte priority = 0) {
    auto opened = core.open(name.asArray(), priority);
    REQUIRE(opened.is<MuxStreamId>());
    return opened.get<MuxStreamId>();
  }
  // Opened, told, acknowledged.
  MuxStreamId live(kj::StringPtr name = "control", kj::byte priority = 0) {
    auto id = open(name, priority);
    drain();
    REQUIRE(core.ingest(MuxOpenAck{id}) == nullptr);
    return id;
  }
  MuxReject openReject(kj::StringPtr name) {
    auto opened = core.open(name.asArray(), 0);
    REQUIRE(opened.is<MuxReject>());
    return opened.get<MuxReject>();
  }
  void ok(const MuxFrame& frame) {
    auto rejection = core.ingest(frame);
    KJ_IF_MAYBE (r, rejection) FAIL(std::string(muxRejectLabel(r->why).cStr()));
    core.checkInvariants();
  }
  void rejects(const MuxFrame& frame, MuxReject why, MuxGravity gravity = MuxGravity::FATAL) {
    auto rejection = core.ingest(frame);
    REQUIRE(rejection != nullptr);
    CHECK(KJ_ASSERT_NONNULL(rejection).why == why);
    CHECK(KJ_ASSERT_NONNULL(rejection).gravity == gravity);
    core.checkInvariants();
  }
  bool send(MuxStreamId id, size_t n) { return core.send(id, bytes(n)).is<MuxAccepted>(); }
  MuxReject sendReject(MuxStreamId id, size_t n) { return core.send(id, bytes(n)).get<MuxReject>(); }
  MuxState state(MuxStreamId id) { return KJ_ASSERT_NONNULL(core.find(id)).state(); }
  uint64_t credit(MuxStreamId id) { return KJ_ASSERT_NONNULL(core.find(id)).credit(); }
  size_t read(MuxStreamId id, size_t n) { return core.read(id, bytes(n)); }

  // Everything that is to be sent, thrown away; how many frames.
  kj::uint drain() {
    kj::uint n = 0;
    while (core.takeFrame() != nullptr) {
      n++;
      core.checkInvariants();
    }
    return n;
  }
  MuxOutgoing next() { return KJ_ASSERT_NONNULL(core.takeFrame(), "nothing to send"); }
};

// Moves what `from` has to send to `to`.
void exchange(MuxCore& from, MuxCore& to) {
  for (;;) {
    auto outgoing = from.takeFrame();
    if (outgoing == nullptr) return;
    auto encoded = encodeMuxFrame(KJ_ASSERT_NONNULL(outgoing).frame);
    auto parsed = tryParseMuxFrame(encoded.type, encoded.body);
    auto rejection = to.ingest(KJ_ASSERT_NONNULL(parsed));
    KJ_IF_MAYBE (r, rejection) {
      KJ_ASSERT(r->gravity != MuxGravity::FATAL, muxRejectLabel(r->why));
    }
  }
}

struct Pair {
  End a{MuxRole::INITIATOR}, b{MuxRole::RESPONDER};
  void settle() {
    for (int i = 0; i < 4; i++) {
      exchange(a.core, b.core);
      exchange(b.core, a.core);
    }
    a.core.checkInvariants();
    b.core.checkInvariants();
  }
};

// ---- rejects and bounds

TEST_CASE("the reject labels are stable") {
  CHECK(muxRejectLabel(MuxReject::FRAME_OVERSIZE) == "mux.reject.frame_oversize");
  CHECK(muxRejectLabel(MuxReject::INVALID_STREAM_STATE_TRANSITION) == "mux.reject.invalid_stream_state_transition");
  CHECK(muxRejectLabel(MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW) ==
        "mux.reject.window_credit_overflow_or_underflow");
  CHECK(muxRejectLabel(MuxReject::UNKNOWN_STREAM_FRAME) == "mux.reject.unknown_stream_frame");
  CHECK(muxRejectLabel(MuxReject::UNAUTHENTICATED_SESSION) == "mux.reject.unauthenticated_session");
  CHECK(muxRejectLabel(MuxReject::STREAM_LIMIT_EXCEEDED) == "mux.reject.stream_limit_exceeded");
  CHECK(muxRejectLabel(MuxReject::DUPLICATE_STREAM_NAME) == "mux.reject.duplicate_stream_name");
  CHECK(muxRejectLabel(MuxReject::INVALID_STREAM_NAME) == "mux.reject.invalid_stream_name");
}

TEST_CASE("test_reject_mux_frame_oversize: 32768 bytes are sent, 32769 are refused") {
  End e;
  auto id = e.live();
  CHECK(e.sendReject(id, 32769) == MuxReject::FRAME_OVERSIZE);
  CHECK(e.credit(id) == 65536);
  CHECK(e.send(id, 32768));
}

TEST_CASE("data_frame_rejects_oversize_payload: 32768 bytes are taken, 32769 are refused") {
  End e;
  auto id = e.live();
  auto big = bytes(32769);
  e.rejects(MuxData{id, big}, MuxReject::FRAME_OVERSIZE);
  e.ok(MuxData{id, big.slice(0, 32768)});
}

TEST_CASE("test_reject_invalid_stream_state_transition: a closed stream cannot be closed again, nor sent on") {
  End e;
  auto id = e.live();
  CHECK(e.core.close(id) == nullptr);
  CHECK(KJ_ASSERT_NONNULL(e.core.close(id)) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.ok(MuxClose{id});
  CHECK(e.state(id) == MuxState::CLOSED);
  CHECK(KJ_ASSERT_NONNULL(e.core.close(id)) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.sendReject(id, 1) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.rejects(MuxClose{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.rejects(MuxData{id, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.drain();
  CHECK(KJ_ASSERT_NONNULL(e.core.reset(id)) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.rejects(MuxRst{id, MuxResetReason::ABORTED}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  CHECK(e.state(id) == MuxState::CLOSED);
}

TEST_CASE("test_reject_window_credit_overflow_or_underflow: at the bound it is taken, one beyond it is not") {
  constexpr auto WHY = MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW;
  End e;
  auto id = e.live();
  e.rejects(MuxWindowUpdate{id, -65537}, WHY);
  CHECK(e.credit(id) == 65536);
  e.ok(MuxWindowUpdate{id, -65536});
  CHECK(e.credit(id) == 0);
  e.rejects(MuxWindowUpdate{id, -1}, WHY);
  e.ok(MuxWindowUpdate{id, 0xffffffffll});
  CHECK(e.credit(id) == 0xffffffffu);
  e.rejects(MuxWindowUpdate{id, 1}, WHY);
  // A delta is not cut to 32 bits before it is looked at.
  for (int64_t delta : {int64_t(1) << 32, -(int64_t(1) << 32), INT64_MAX, INT64_MIN}) {
    e.rejects(MuxWindowUpdate{id, delta}, WHY);
  }
  CHECK(e.credit(id) == 0xffffffffu);
}

TEST_CASE("window_update_frame_applies_credit_delta") {
  End e;
  auto id = e.live();
  e.ok(MuxWindowUpdate{id, 32});
  CHECK(e.credit(id) == 65568);
}

TEST_CASE("test_reject_unknown_stream_frame: of the peer for an id that was never opened, and of ours") {
  End e;
  for (MuxStreamId id : {1u, 2u, 77u, 0xffffffffu}) {
    e.rejects(MuxData{id, bytes(1)}, MuxReject::UNKNOWN_STREAM_FRAME);
    e.rejects(MuxWindowUpdate{id, 1}, MuxReject::UNKNOWN_STREAM_FRAME);
    e.rejects(MuxRst{id, MuxResetReason::ABORTED}, MuxReject::UNKNOWN_STREAM_FRAME);
    e.rejects(MuxClose{id}, MuxReject::UNKNOWN_STREAM_FRAME);
    e.rejects(MuxOpenAck{id}, MuxReject::UNKNOWN_STREAM_FRAME);
    CHECK(e.sendReject(id, 1) == MuxReject::UNKNOWN_STREAM_FRAME);
    CHECK(KJ_ASSERT_NONNULL(e.core.close(id)) == MuxReject::UNKNOWN_STREAM_FRAME);
    CHECK(KJ_ASSERT_NONNULL(e.core.reset(id)) == MuxReject::UNKNOWN_STREAM_FRAME);
  }
  // Nor may the peer know of a stream whose OPEN has not left.
  auto id = e.open("early");
  e.rejects(MuxOpenAck{id}, MuxReject::UNKNOWN_STREAM_FRAME);
}

TEST_CASE(
    "test_reject_unauthenticated_session, unauthenticated_endpoint_rejects_open_and_ingest: nothing is possible") {
  constexpr auto WHY = MuxReject::UNAUTHENTICATED_SESSION;
  MuxCore core(MuxRole::INITIATOR, MuxSession::UNAUTHENTICATED);
  CHECK(core.open("control"_kj.asArray(), 0).get<MuxReject>() == WHY);
  CHECK(core.send(1, bytes(1)).get<MuxReject>() == WHY);
  for (auto& frame : {MuxFrame(MuxOpen{2, 0, "control"_kj.asArray()}), MuxFrame(MuxClose{2})}) {
    auto rejection = KJ_ASSERT_NONNULL(core.ingest(frame));
    CHECK(rejection.why == WHY);
    CHECK(rejection.gravity == MuxGravity::FATAL);
  }
  CHECK(core.streamCount() == 0);
  CHECK(core.takeFrame() == nullptr);
}

TEST_CASE("backpressure_returns_would_block_when_credit_exhausted: an outcome, and nothing has changed") {
  End e;
  auto id = e.live();
  CHECK(e.send(id, 32768));
  CHECK(e.send(id, 32768));
  auto blocked = e.core.send(id, bytes(1));
  REQUIRE(blocked.is<MuxWouldBlock>());
  CHECK(blocked.get<MuxWouldBlock>().credit == 0);
  CHECK(e.credit(id) == 0);
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).sendBuffered() == 65536);
  CHECK(e.state(id) == MuxState::OPEN);
  CHECK(e.core.counters().wouldBlock == 1);
  // More than there is credit for is not sent in part.
  e.ok(MuxWindowUpdate{id, 99});
  CHECK_FALSE(e.send(id, 100));
  CHECK(e.credit(id) == 99);
  CHECK(e.send(id, 99));
}

TEST_CASE("256 KiB wait to be sent, not a byte more, whatever the credit") {
  End e;
  auto id = e.live();
  e.ok(MuxWindowUpdate{id, 1 << 20});
  for (int i = 0; i < 8; i++) CHECK(e.send(id, 32768));
  CHECK(e.core.send(id, bytes(1)).is<MuxWouldBlock>());
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).sendBuffered() == MUX_MAX_BUFFER);
  CHECK(e.next().frame.is<MuxData>());  // one leaves, one fits
  CHECK(e.send(id, 32768));
  CHECK(e.core.send(id, bytes(1)).is<MuxWouldBlock>());
}

TEST_CASE("stream_name_rejects_empty_and_oversized_values, and what is no visible ASCII character") {
  constexpr auto WHY = MuxReject::INVALID_STREAM_NAME;
  End e;
  char longest[66] = {};
  memset(longest, 'n', 65);
  CHECK(e.openReject("") == WHY);
  CHECK(e.openReject(longest) == WHY);
  e.rejects(MuxOpen{2, 0, nullptr}, WHY);
  e.rejects(MuxOpen{2, 0, kj::arrayPtr(longest, 65)}, WHY);
  for (auto bad : {"a b"_kj, "a\n"_kj, "\x7f"_kj, "\xc3\xa4"_kj}) {
    CHECK(e.openReject(bad) == WHY);
    e.rejects(MuxOpen{2, 0, bad.asArray()}, WHY);
  }
  longest[64] = 0;
  e.open(longest);
  longest[0] = 'm';
  e.ok(MuxOpen{2, 0, kj::arrayPtr(longest, 64)});
  e.open("x");
}

TEST_CASE("duplicate_stream_name_rejects_endpoint_open: while that stream lives, not after") {
  End e;
  auto id = e.live("control");
  CHECK(e.openReject("control") == MuxReject::DUPLICATE_STREAM_NAME);
  CHECK(e.core.reset(id) == nullptr);
  e.open("control");
}

TEST_CASE("ingest_duplicate_stream_name_rejects: the peer's is answered with a reset, ours lives on") {
  End e;
  auto id = e.live("control");
  e.rejects(MuxOpen{2, 0, "control"_kj.asArray()}, MuxReject::DUPLICATE_STREAM_NAME, MuxGravity::REFUSED);
  auto rst = e.next().frame.get<MuxRst>();
  CHECK(rst.stream == 2);
  CHECK(rst.reason == MuxResetReason::DUPLICATE_NAME);
  CHECK(e.send(id, 1));
  // What the peer had already sent on it is late; its RST settles it.
  e.rejects(MuxData{2, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  CHECK(e.core.refusedCount() == 1);
  e.ok(MuxRst{2, MuxResetReason::ABORTED});
  CHECK(e.core.refusedCount() == 0);
  // So does a CLOSE that was on its way, even before our RST has left.
  e.rejects(MuxOpen{4, 0, "control"_kj.asArray()}, MuxReject::DUPLICATE_STREAM_NAME, MuxGravity::REFUSED);
  e.rejects(MuxClose{4}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  CHECK(e.core.refusedCount() == 1);
  CHECK(e.next().frame.get<MuxRst>().stream == 4);
  CHECK(e.core.refusedCount() == 0);
  CHECK(e.core.counters().late == 2);
}

TEST_CASE("128 streams fit, whoever opens them; the next is refused, and there is room again when one is over") {
  End e(MuxRole::INITIATOR, {.maxStreams = 128, .acceptBacklog = 200});
  for (MuxStreamId i = 0; i < 64; i++) {
    e.live(kj::str("ours/", i));
    auto name = kj::str("theirs/", i);
    e.ok(MuxOpen{2 + 2 * i, 3, name.asArray()});
  }
  CHECK(e.core.streamCount() == 128);
  CHECK(e.openReject("one/more") == MuxReject::STREAM_LIMIT_EXCEEDED);
  e.rejects(MuxOpen{130, 0, "one/more"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::REFUSED);
  e.drain();
  e.core.release(1);
  e.ok(MuxClose{1});
  e.drain();
  CHECK(e.core.streamCount() == 127);
  e.ok(MuxOpen{132, 0, "one/more"_kj.asArray()});
}

TEST_CASE("an OPEN beyond the accept backlog is refused, and one is taken again when a program accepts") {
  End e(MuxRole::RESPONDER, {.acceptBacklog = 2});
  e.ok(MuxOpen{1, 0, "a"_kj.asArray()});
  e.ok(MuxOpen{3, 0, "b"_kj.asArray()});
  e.rejects(MuxOpen{5, 0, "c"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::REFUSED);
  CHECK(e.next().frame.get<MuxRst>().reason == MuxResetReason::BACKLOG_FULL);
  CHECK(KJ_ASSERT_NONNULL(e.core.accept()) == 1);
  e.ok(MuxOpen{7, 0, "c"_kj.asArray()});
  CHECK(KJ_ASSERT_NONNULL(e.core.accept()) == 3);
  CHECK(KJ_ASSERT_NONNULL(e.core.accept()) == 7);
  CHECK(e.core.accept() == nullptr);
}

TEST_CASE("a stream that the peer resets while it waits to be accepted leaves the backlog and the table") {
  End e(MuxRole::RESPONDER, {.acceptBacklog = 1});
  for (MuxStreamId id : {1u, 3u, 5u}) {
    e.ok(MuxOpen{id, 0, "a"_kj.asArray()});
    e.ok(MuxRst{id, MuxResetReason::ABORTED});
    CHECK(e.core.backlogSize() == 0);
    CHECK(e.next().frame.is<MuxRst>());
    CHECK(e.core.streamCount() == 0);
  }
}

TEST_CASE("128 refusals wait for the peer's word; one more ends the session") {
  End e(MuxRole::RESPONDER, {.maxStreams = 0});
  for (MuxStreamId i = 0; i < 128; i++) {
    e.rejects(MuxOpen{1 + 2 * i, 0, "a"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::REFUSED);
  }
  e.rejects(MuxOpen{257, 0, "a"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::FATAL);
  CHECK(e.drain() == 128);
  e.rejects(MuxOpen{257, 0, "a"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::FATAL);
  e.ok(MuxRst{1, MuxResetReason::ABORTED});
  e.rejects(MuxOpen{257, 0, "a"_kj.asArray()}, MuxReject::STREAM_LIMIT_EXCEEDED, MuxGravity::REFUSED);
}

TEST_CASE("the peer opens ids of its own parity in rising order, anything else ends the session") {
  constexpr auto WHY = MuxReject::INVALID_STREAM_STATE_TRANSITION;
  End e(MuxRole::RESPONDER);
  e.rejects(MuxOpen{2, 0, "a"_kj.asArray()}, WHY);
  e.ok(MuxOpen{5, 0, "a"_kj.asArray()});
  for (MuxStreamId id : {5u, 3u, 1u, 4u, 6u}) e.rejects(MuxOpen{id, 0, "b"_kj.asArray()}, WHY);
  e.ok(MuxOpen{7, 0, "b"_kj.asArray()});
  CHECK(e.open("ours") == 2);
  CHECK(End(MuxRole::INITIATOR).open("ours") == 1);
}

TEST_CASE("an OPEN that policy does not let pass is answered with a reset and leaves nothing in the table") {
  End e(MuxRole::RESPONDER);
  CHECK(e.core.refuse(MuxOpen{1, 0, "a"_kj.asArray()}, MuxResetReason::DENIED, 12) == nullptr);
  auto rst = e.next().frame.get<MuxRst>();
  CHECK(rst.reason == MuxResetReason::DENIED);
  CHECK(rst.auditId == 12);
  CHECK(e.core.streamCount() == 0);
  e.rejects(MuxOpen{1, 0, "a"_kj.asArray()}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.core.counters().refused == 1);
}

// ---- frames, states

TEST_CASE("stream_lifecycle_open_ack_close_rst_is_deterministic") {
  End e;
  auto id = e.open("control", 2);
  CHECK(e.state(id) == MuxState::OPEN);
  CHECK_FALSE(KJ_ASSERT_NONNULL(e.core.find(id)).isAcknowledged());
  auto outgoing = e.next();
  auto& open = outgoing.frame.get<MuxOpen>();
  CHECK(open.stream == 1);
  CHECK(open.priority == 2);
  CHECK(kj::str(open.name) == "control");
  CHECK(e.core.takeFrame() == nullptr);  // queued once
  e.ok(MuxOpenAck{id});
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).isAcknowledged());
  e.rejects(MuxOpenAck{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.core.close(id) == nullptr);
  CHECK(e.state(id) == MuxState::HALF_CLOSED_LOCAL);
  CHECK(e.next().frame.is<MuxClose>());
  e.ok(MuxData{id, bytes(3)});  // still heard
  CHECK(e.sendReject(id, 1) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.ok(MuxRst{id, MuxResetReason::ABORTED});
  CHECK(e.state(id) == MuxState::RESET);
  CHECK(e.read(id, 10) == 0);  // cut off before its end
}

TEST_CASE("open_ack_without_open_rejects") {
  End e;
  e.rejects(MuxOpenAck{1}, MuxReject::UNKNOWN_STREAM_FRAME);
  e.ok(MuxOpen{2, 0, "theirs"_kj.asArray()});
  CHECK(e.next().frame.get<MuxOpenAck>().stream == 2);
  e.rejects(MuxOpenAck{2}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
}

TEST_CASE("the peer cannot send or close before it has acknowledged; we can") {
  End e;
  auto id = e.open("control");
  CHECK(e.send(id, 5));
  CHECK(e.core.close(id) == nullptr);
  CHECK(e.next().frame.is<MuxOpen>());
  CHECK(e.next().frame.get<MuxData>().payload.size() == 5);
  CHECK(e.next().frame.is<MuxClose>());
  e.rejects(MuxData{id, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.rejects(MuxClose{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION);
  e.ok(MuxOpenAck{id});
  e.ok(MuxClose{id});
  CHECK(e.state(id) == MuxState::CLOSED);
}

TEST_CASE("seeded_state_machine_sequence_preserves_credit_invariants: 64, 40, 48, 0, blocked") {
  End e;
  auto id = e.live();
  e.ok(MuxWindowUpdate{id, 64 - 65536});
  CHECK(e.credit(id) == 64);
  CHECK(e.send(id, 24));
  CHECK(e.credit(id) == 40);
  e.ok(MuxWindowUpdate{id, 8});
  CHECK(e.credit(id) == 48);
  CHECK(e.send(id, 48));
  CHECK(e.credit(id) == 0);
  CHECK(e.core.send(id, bytes(1)).is<MuxWouldBlock>());
}

TEST_CASE("rst_transition_is_idempotent_and_close_after_rst_rejects, close_after_reset_rejects_on_integration_path") {
  End e;
  auto id = e.live();
  CHECK(e.send(id, 100));
  CHECK(e.core.reset(id) == nullptr);
  CHECK(e.core.reset(id) == nullptr);
  CHECK(e.state(id) == MuxState::RESET);
  CHECK(KJ_ASSERT_NONNULL(e.core.close(id)) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.sendReject(id, 1) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.next().frame.is<MuxRst>());
  CHECK(e.core.takeFrame() == nullptr);  // one RST, and the data is dropped
  // What crossed it is late.
  e.rejects(MuxData{id, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  e.rejects(MuxClose{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  e.ok(MuxRst{id, MuxResetReason::ABORTED});
  e.ok(MuxRst{id, MuxResetReason::ABORTED});
  // After the peer's own RST nothing can be late any more.
  e.rejects(MuxData{id, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::FATAL);
  CHECK(e.core.takeFrame() == nullptr);
  e.core.release(id);
  CHECK(e.core.streamCount() == 0);
}

TEST_CASE("a close that comes after our reset is no end: bytes were dropped") {
  End e;
  auto id = e.live();
  e.ok(MuxData{id, bytes(9)});
  CHECK(e.core.reset(id) == nullptr);
  e.drain();
  e.rejects(MuxClose{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  CHECK(e.read(id, 10) == 0);
  CHECK_FALSE(KJ_ASSERT_NONNULL(e.core.find(id)).atEnd());
}

TEST_CASE("a reset is answered with one, unless the end of this side was told before") {
  End e;
  auto open = e.live("open"), closed = e.live("closed");
  CHECK(e.core.close(closed) == nullptr);
  CHECK(e.next().frame.get<MuxClose>().stream == closed);
  e.ok(MuxRst{closed, MuxResetReason::ABORTED});
  CHECK(e.core.takeFrame() == nullptr);
  e.ok(MuxRst{open, MuxResetReason::ABORTED});
  CHECK(e.next().frame.get<MuxRst>().stream == open);
  CHECK(e.core.takeFrame() == nullptr);
}

TEST_CASE("of the peer's streams those may still carry bytes that are not closed, or whose last bytes wait here") {
  End e{MuxRole::RESPONDER};
  e.open("own");
  e.ok(MuxOpen{1, 4, "done"_kj.asArray()});
  e.ok(MuxOpen{3, 4, "waits"_kj.asArray()});
  e.ok(MuxOpen{5, 4, "open"_kj.asArray()});
  CHECK(e.core.streamsOfPeer().asPtr() == kj::ArrayPtr<const MuxStreamId>({1, 3, 5}));
  for (MuxStreamId id : {1, 3}) {
    e.ok(MuxClose{id});
    CHECK(e.core.accept(id));
    CHECK(e.core.close(id) == nullptr);
  }
  e.drain();
  CHECK(e.core.streamsOfPeer().asPtr() == kj::ArrayPtr<const MuxStreamId>({5}));
  e.ok(MuxOpen{7, 4, "later"_kj.asArray()});
  CHECK(e.core.accept(7));
  e.ok(MuxClose{7});
  CHECK(e.send(7, 100));
  CHECK(e.core.close(7) == nullptr);
  CHECK(e.state(7) == MuxState::CLOSED);
  CHECK(e.core.streamsOfPeer().asPtr() == kj::ArrayPtr<const MuxStreamId>({5, 7}));
  CHECK(e.core.reset(7, MuxResetReason::DENIED) == nullptr);
  CHECK(e.core.streamsOfPeer().asPtr() == kj::ArrayPtr<const MuxStreamId>({5}));
}

TEST_CASE("a stream that was opened and reset before its OPEN left is never spoken of") {
  End e;
  auto id = e.open("control");
  CHECK(e.core.reset(id) == nullptr);
  CHECK(e.core.takeFrame() == nullptr);
  e.core.release(id);
  CHECK(e.core.streamCount() == 0);
}

TEST_CASE("a stream is forgotten when both ends are done and the program has let go, not before") {
  Pair p;
  auto id = p.a.open("control");
  p.settle();
  CHECK(KJ_ASSERT_NONNULL(p.b.core.accept()) == id);
  CHECK(p.a.send(id, 10));
  p.a.core.release(id);
  p.settle();
  CHECK(p.a.core.streamCount() == 1);  // the peer may still send
  CHECK(p.b.read(id, 100) == 10);
  CHECK(KJ_ASSERT_NONNULL(p.b.core.find(id)).atEnd());
  CHECK(p.b.core.close(id) == nullptr);
  p.settle();
  CHECK(p.a.core.streamCount() == 0);
  CHECK(p.b.core.streamCount() == 1);
  p.b.core.release(id);
  CHECK(p.b.core.streamCount() == 0);
  // An update or reset that was under way does no harm.
  p.a.rejects(MuxWindowUpdate{id, 1}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  p.a.rejects(MuxRst{id, MuxResetReason::ABORTED}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::LATE);
  p.a.rejects(MuxClose{id}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::FATAL);
  p.a.rejects(MuxData{id, bytes(1)}, MuxReject::INVALID_STREAM_STATE_TRANSITION, MuxGravity::FATAL);
}

TEST_CASE("what was sent before the program let go arrives; what arrives after is answered with a reset") {
  Pair p;
  auto id = p.a.open("control");
  CHECK(p.a.send(id, 20000));
  p.a.core.release(id);
  p.settle();
  CHECK(p.b.core.accept() != nullptr);
  CHECK(p.b.send(id, 1));
  p.settle();
  // The end had arrived, so what came before it is still there to be read.
  CHECK(p.b.state(id) == MuxState::RESET);
  CHECK(p.b.read(id, 30000) == 20000);
  CHECK(KJ_ASSERT_NONNULL(p.b.core.find(id)).atEnd());
  p.b.core.release(id);
  p.settle();
  CHECK(p.a.core.streamCount() == 0);
  CHECK(p.b.core.streamCount() == 0);
}

TEST_CASE("a program that lets go of what it has not read does not leave the peer waiting for credit") {
  Pair p;
  auto id = p.a.open("control");
  CHECK(p.a.send(id, 32768));
  CHECK(p.a.send(id, 32768));
  p.settle();
  CHECK(p.b.core.accept() != nullptr);
  p.b.core.release(id);
  p.settle();
  CHECK(p.a.state(id) == MuxState::RESET);
}

// ---- drain, credit, directions

TEST_CASE("drain releases buffer and credit: a stream carries any amount, credit moves only when the reader drains") {
  Pair p;
  auto id = p.a.open("bulk", 4);
  p.settle();
  CHECK(p.b.core.accept() != nullptr);
  uint64_t sent = 0, received = 0;
  while (sent < 4 * MUX_MAX_BUFFER) {
    while (p.a.send(id, 8192)) sent += 8192;
    p.settle();
    auto before = p.a.credit(id);
    p.settle();
    CHECK(p.a.credit(id) == before);  // nobody has read, nothing moves
    CHECK(before < 8192);
    received += p.b.read(id, 1 << 20);
    p.settle();
    CHECK(p.a.credit(id) >= MUX_INITIAL_CREDIT / 2);
  }
  received += p.b.read(id, 1 << 20);
  CHECK(received == sent);
}

TEST_CASE("the peer is told of half a window, and of no more than 65536 bytes at once however large the window is") {
  End e;
  auto id = e.live();
  auto take = [&](size_t bytesToTake) {
    for (size_t n = 0; n < bytesToTake; n += 32768) e.ok(MuxData{id, bytes(kj::min(bytesToTake - n, 32768))});
  };
  // Drains what waits; the update of all of it, and not one byte earlier than `worth`.
  auto drain = [&](size_t worth, size_t rest, int64_t delta) {
    CHECK(e.read(id, worth - 1) == worth - 1);
    CHECK(!e.core.hasFrame());
    CHECK(e.read(id, rest + 1) == rest + 1);
    CHECK(e.next().frame.get<MuxWindowUpdate>().delta == delta);
  };
  take(32768);
  drain(32768, 0, 32768);  // of a window of 65536
  take(32768);
  drain(32768, 0, 32768 + 65536);  // a whole one is drained: it is 131072 now
  take(131072);
  drain(65536, 0, 65536);
  drain(65536, 0, 65536 + 131072);  // 262144 now, and stays so
  for (int i = 0; i < 8; i++) {
    take(65536);
    drain(65536, 0, 65536);
  }
}

TEST_CASE("the window doubles while the reader drains whole windows, up to the buffer's bound") {
  Pair p;
  auto id = p.a.open("bulk", 4);
  p.settle();
  CHECK(p.b.core.accept() != nullptr);
  size_t most = 0;
  for (int round = 0; round < 10; round++) {
    size_t n = 0;
    while (p.a.send(id, 1024)) n += 1024;
    p.settle();
    most = kj::max(most, n);
    CHECK(KJ_ASSERT_NONNULL(p.b.core.find(id)).receiveBuffered() <= MUX_MAX_BUFFER);
    CHECK(p.b.read(id, 1 << 20) == n);
    p.settle();
  }
  CHECK(most == MUX_MAX_BUFFER);
}

TEST_CASE("a peer that sends one byte more than its credit ends the session, even if there is room") {
  End e;
  auto id = e.live();
  auto full = bytes(32768);
  e.ok(MuxData{id, full});
  e.ok(MuxData{id, full});
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).receiveBuffered() == 65536);
  e.rejects(MuxData{id, bytes(1)}, MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW);
  CHECK(e.read(id, 40000) == 40000);
  e.rejects(MuxData{id, bytes(1)}, MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW);  // it was not told yet
  CHECK(e.next().frame.get<MuxWindowUpdate>().delta == 40000);
  e.ok(MuxData{id, bytes(1)});
}

TEST_CASE("what a reader expects is placed while nothing else waits and it fits; given up, it comes before the rest") {
  End e;
  auto id = e.live();
  kj::byte out[40000];
  auto buffered = [&] { return KJ_ASSERT_NONNULL(e.core.find(id)).receiveBuffered(); };
  auto place = [&](size_t size, kj::byte fill) {
    auto where = e.core.tryPlace(id, size);
    if (where.size() > 0) memset(where.begin(), fill, where.size());
    e.core.checkInvariants();
    return where;
  };
  CHECK(place(10, 'a').size() == 0);  // nobody expects anything
  e.core.expect(id, out);
  CHECK(place(30000, 'a').begin() == out);
  CHECK(place(10001, 'b').size() == 0);
  CHECK(place(5000, 'b').begin() == out + 30000);
  CHECK(buffered() == 35000);
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).receiveCredit() == 65536 - 35000);
  CHECK(!e.core.hasFrame());  // nobody has read yet, so there is no credit
  e.ok(MuxData{id, bytes(10001, 'c')});
  CHECK(place(1, 'd').size() == 0);  // it would overtake
  CHECK_THROWS(e.core.expect(id, out));
  e.core.giveUp(id);
  kj::byte got[45001];
  CHECK(e.core.read(id, kj::arrayPtr(got, sizeof(got))) == 45001);
  auto all = [&](size_t from, size_t to, kj::byte fill) {
    return std::all_of(got + from, got + to, [fill](kj::byte b) { return b == fill; });
  };
  CHECK(all(0, 30000, 'a'));
  CHECK(all(30000, 35000, 'b'));
  CHECK(all(35000, 45001, 'c'));
  CHECK(e.next().frame.get<MuxWindowUpdate>().delta == 45001);
}

TEST_CASE("what is placed and collected gives credit as what is read does; beyond the credit nothing is placed") {
  End e;
  auto id = e.live();
  auto out = kj::heapArray<kj::byte>(100000);
  e.core.expect(id, out);
  CHECK(e.core.tryPlace(id, 32769).size() == 0);
  CHECK(e.core.tryPlace(id, 32768).size() == 32768);
  CHECK(e.core.tryPlace(id, 32768).size() == 32768);
  CHECK(e.core.tryPlace(id, 1).size() == 0);
  e.rejects(MuxData{id, bytes(1)}, MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW);
  CHECK(!e.core.hasFrame());
  CHECK(e.core.collect(id) == 65536);
  CHECK(e.core.collect(id) == 0);
  CHECK(e.next().frame.get<MuxWindowUpdate>().delta == 65536 + 65536);  // a window is drained: it grows
  CHECK(e.core.counters().bytesReceived == 65536);
  CHECK(e.core.tryPlace(id, 1).size() == 0);  // collecting ends the expectation
  e.core.expect(id, out);
  e.ok(MuxClose{id});
  CHECK(e.core.tryPlace(id, 1).size() == 0);
}

TEST_CASE("what a writer offers goes behind what was sent, as far as there is credit, and is read where it lies") {
  End e;
  auto id = e.live();
  auto offer = bytes(100000, 'o');
  CHECK(e.send(id, 1000));
  CHECK(e.core.offer(id, offer) == nullptr);
  CHECK_FALSE(e.send(id, 1));  // it would overtake
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).room() == 0);
  CHECK(e.next().frame.get<MuxData>().payload.size() == 1000);
  auto first = e.next();
  CHECK(first.frame.get<MuxData>().payload.begin() == offer.begin());
  CHECK(first.frame.get<MuxData>().payload.size() == 32768);
  CHECK(e.next().frame.get<MuxData>().payload.size() == 65536 - 1000 - 32768);
  CHECK(e.credit(id) == 0);
  CHECK(!e.core.hasFrame());
  CHECK(KJ_ASSERT_NONNULL(e.core.find(id)).offered() == 100000 - 64536);
  e.ok(MuxWindowUpdate{id, 5});
  CHECK(e.next().frame.get<MuxData>().payload.begin() == offer.begin() + 64536);
  CHECK(e.core.offer(id, nullptr) == nullptr);
  e.ok(MuxWindowUpdate{id, 1000});
  CHECK(!e.core.hasFrame());
  CHECK(e.core.offer(id, offer) == nullptr);
  CHECK(e.core.close(id) == nullptr);
  CHECK(e.next().frame.is<MuxClose>());  // what was not sent is the writer's again
  CHECK(e.core.offer(id, offer) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(e.core.offer(99, offer) == MuxReject::UNKNOWN_STREAM_FRAME);
}

TEST_CASE("the two directions have buffers and credit of their own") {
  End e;
  auto id = e.live();
  auto full = bytes(32768);
  e.ok(MuxData{id, full});
  e.ok(MuxData{id, full});
  CHECK(e.credit(id) == 65536);
  CHECK(e.send(id, 32768));
  auto& stream = KJ_ASSERT_NONNULL(e.core.find(id));
  CHECK(stream.sendBuffered() == 32768);
  CHECK(stream.receiveBuffered() == 65536);
  CHECK(stream.receiveCredit() == 0);
}

TEST_CASE("small writes leave as one DATA, of at most 32 KiB") {
  End e;
  auto id = e.live();
  for (int i = 0; i < 40; i++) CHECK(e.send(id, 1000));
  CHECK(e.next().frame.get<MuxData>().payload.size() == 32768);
  CHECK(e.next().frame.get<MuxData>().payload.size() == 40000 - 32768);
  CHECK(e.core.takeFrame() == nullptr);
}

TEST_CASE("control overtakes bulk that waits, and bulk is not starved by it") {
  End e;
  auto bulk = e.live("bulk", 4), control = e.live("control", 0);
  e.ok(MuxWindowUpdate{control, 1 << 20});
  CHECK(e.send(bulk, 32768));
  CHECK(e.send(bulk, 32768));
  for (int i = 0; i < 8; i++) CHECK(e.send(control, 32768));
  kj::uint turn = 0, bulkTurn = 0;
  while (bulkTurn == 0) {
    turn++;
    auto outgoing = e.next();
    if (streamOf(outgoing.frame) == bulk) bulkTurn = turn;
    if (KJ_ASSERT_NONNULL(e.core.find(control)).sendBuffered() < MUX_MAX_BUFFER) e.send(control, 32768);
  }
  CHECK(bulkTurn == 9);
}

TEST_CASE("128 streams of one priority share in turn") {
  End e;
  std::set<MuxStreamId> seen;
  for (int i = 0; i < 128; i++) e.live(kj::str("s", i), 5);
  for (MuxStreamId id = 1; id < 256; id += 2) {
    CHECK(e.send(id, 32768));
    CHECK(e.send(id, 32768));
  }
  for (int i = 0; i < 128; i++) seen.insert(streamOf(e.next().frame));
  CHECK(seen.size() == 128);
}

// ---- two ends

TEST_CASE("open_accept_and_control_bulk_multiplexing") {
  Pair p;
  auto control = p.a.open("crossvm/control", 0), bulk = p.a.open("crossvm/bulk", 4);
  p.settle();
  CHECK(KJ_ASSERT_NONNULL(p.b.core.accept()) == control);
  CHECK(KJ_ASSERT_NONNULL(p.b.core.accept()) == bulk);
  CHECK(KJ_ASSERT_NONNULL(p.b.core.find(bulk)).name == "crossvm/bulk");
  CHECK(KJ_ASSERT_NONNULL(p.b.core.find(bulk)).priority == 4);
  CHECK(p.a.send(control, 32));
  CHECK(p.a.send(bulk, 96));
  CHECK(p.b.send(control, 24));
  CHECK(p.b.send(bulk, 64));
  p.settle();
  CHECK(p.b.read(control, 1000) == 32);
  CHECK(p.b.read(bulk, 1000) == 96);
  CHECK(p.a.read(control, 1000) == 24);
  CHECK(p.a.read(bulk, 1000) == 64);
  CHECK(p.a.core.counters().bytesSent == 128);
  CHECK(p.b.core.counters().bytesReceived == 128);
}

TEST_CASE("both ends open at once and neither's ids or names are in the other's way") {
  Pair p;
  auto a = p.a.open("from/a"), b = p.b.open("from/b");
  auto sameA = p.a.open("same"), sameB = p.b.open("same");
  // All four are on their way before one arrives.
  kj::Vector<EncodedMuxFrame> fromA, fromB;
  for (int i = 0; i < 2; i++) fromA.add(encodeMuxFrame(p.a.next().frame));
  for (int i = 0; i < 2; i++) fromB.add(encodeMuxFrame(p.b.next().frame));
  for (auto& f : fromA) p.b.core.ingest(KJ_ASSERT_NONNULL(tryParseMuxFrame(f.type, f.body)));
  for (auto& f : fromB) p.a.core.ingest(KJ_ASSERT_NONNULL(tryParseMuxFrame(f.type, f.body)));
  p.settle();
  CHECK(KJ_ASSERT_NONNULL(p.b.core.accept()) == a);
  CHECK(KJ_ASSERT_NONNULL(p.a.core.accept()) == b);
  // The same name at the same time: both learn it.
  CHECK(p.a.state(sameA) == MuxState::RESET);
  CHECK(p.b.state(sameB) == MuxState::RESET);
  CHECK(KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(p.a.core.find(sameA)).resetReason()) == MuxResetReason::DUPLICATE_NAME);
  CHECK(p.a.core.refusedCount() == 0);
  p.a.core.release(sameA);
  p.b.core.release(sameB);
  CHECK(p.a.core.streamCount() == 2);
  CHECK(p.b.core.streamCount() == 2);
}

TEST_CASE("close_then_rst_propagates_fail_closed") {
  Pair p;
  auto id = p.a.open("control");
  p.settle();
  CHECK(p.b.core.accept() != nullptr);
  CHECK(p.a.core.close(id) == nullptr);
  p.settle();
  CHECK(p.b.state(id) == MuxState::HALF_CLOSED_REMOTE);
  CHECK(p.b.send(id, 7));
  CHECK(p.b.core.reset(id) == nullptr);
  p.settle();
  CHECK(p.a.state(id) == MuxState::RESET);
  CHECK(p.a.sendReject(id, 1) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  CHECK(p.b.sendReject(id, 1) == MuxReject::INVALID_STREAM_STATE_TRANSITION);
  p.a.core.release(id);
  p.b.core.release(id);
  CHECK(p.a.core.streamCount() == 0);
  CHECK(p.b.core.streamCount() == 0);
}

TEST_CASE("resets that cross, and a close that crosses a reset, leave nothing behind at either end") {
  for (bool bothReset : {true, false}) {
    for (bool aClosed : {true, false}) {
      CAPTURE(bothReset);
      CAPTURE(aClosed);
      Pair p;
      auto id = p.a.open("control");
      p.settle();
      CHECK(p.b.core.accept() != nullptr);
      if (aClosed) {
        CHECK(p.a.core.close(id) == nullptr);
        p.settle();
      }
      CHECK(p.a.core.reset(id) == nullptr);
      CHECK((bothReset ? p.b.core.reset(id) : p.b.core.close(id)) == nullptr);
      p.settle();
      p.a.core.release(id);
      p.b.core.release(id);
      p.settle();
      CHECK(p.a.core.streamCount() == 0);
      CHECK(p.b.core.streamCount() == 0);
    }
  }
}

}  // namespace
}  // namespace nexus
