#include "tools/vmtest/capture-merge.h"

#include <algorithm>
#include <tuple>

#include "tools/vmtest/pcapng-writer.h"

namespace nexus::vmtest {

namespace {

struct Comment {
  kj::byte node;
  uint64_t stamp;
  size_t order;
  kj::StringPtr text;
};

kj::Vector<Comment> markerComments(const RunState& state, uint64_t launch) {
  kj::Vector<Comment> comments;
  auto& rungs = state.profile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    KJ_IF_MAYBE (reached, state.reached(i)) {
      if (rungs[i].source != Source::CONSOLE) continue;
      comments.add(Comment{rungs[i].node, launch + uint64_t(reached->at / kj::NANOSECONDS), i, reached->line});
    }
  }
  std::sort(comments.begin(), comments.end(),
            [](const Comment& a, const Comment& b) { return std::tie(a.stamp, a.order) < std::tie(b.stamp, b.order); });
  return comments;
}

}  // namespace

kj::Array<MergedFrame> mergeCaptures(kj::ArrayPtr<const Capture* const> captures) {
  kj::Vector<MergedFrame> merged;
  for (size_t node = 0; node < captures.size(); node++) {
    for (auto& frame : captures[node]->frames())
      merged.add(MergedFrame{kj::byte(node), captures[node]->hostStamp(frame), &frame});
  }
  std::sort(merged.begin(), merged.end(), [](const MergedFrame& a, const MergedFrame& b) {
    if (a.stamp != b.stamp) return a.stamp < b.stamp;
    if (a.frame->sent != b.frame->sent) return a.frame->sent;
    return std::tie(a.node, a.frame) < std::tie(b.node, b.frame);
  });
  return merged.releaseAsArray();
}

kj::Array<kj::byte> pcapngOf(kj::ArrayPtr<const Capture* const> captures, const RunState& state, uint64_t launch) {
  PcapngWriter writer("nexus-net "_kj);
  for (size_t node = 0; node < captures.size(); node++) {
    writer.addInterface(kj::str("node-", char('a' + node)),
                        kj::str("link of node ", NODE_NAMES[node], ", ", NODE_MACS[node]));
  }
  auto comments = markerComments(state, launch);
  auto used = kj::heapArray<bool>(comments.size());
  for (bool& u : used) u = false;
  for (auto& frame : mergeCaptures(captures)) {
    kj::Vector<kj::StringPtr> texts;
    for (size_t i = 0; i < comments.size() && comments[i].stamp <= frame.stamp; i++) {
      if (used[i] || comments[i].node != frame.node) continue;
      used[i] = true;
      texts.add(comments[i].text);
    }
    writer.addPacket(frame.node, frame.stamp, frame.frame->bytes, frame.frame->original, kj::strArray(texts, "\n"));
  }
  return kj::heapArray(writer.bytes());
}

}  // namespace nexus::vmtest
