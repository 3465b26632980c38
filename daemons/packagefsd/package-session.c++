#include "daemons/packagefsd/package-session.h"

namespace nexus {

namespace {

PackageSession::Answer refuse(pk::Op op, pk::Status status) {
  return {status, pk::encodeStatus(op, status)};
}

}  // namespace

PackageSession::Answer PackageSession::handle(kj::ArrayPtr<const kj::byte> frame) {
  auto request = pk::decodeRequest(true, frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, pk::Stat) return stat(r);
    KJ_CASE_ONEOF(r, pk::Open) return openFile(r);
    KJ_CASE_ONEOF(r, pk::Read) return read(r);
    KJ_CASE_ONEOF(r, pk::Close) return close(r);
    KJ_CASE_ONEOF(fault, pk::Fault) return {fault.status, pk::encodeFault(fault)};
  }
  KJ_UNREACHABLE;
}

PackageSession::Answer PackageSession::stat(const pk::Stat& request) {
  auto found = files.stat(request.path.relative);
  if (found.is<pk::Status>()) return refuse(pk::Op::STAT, found.get<pk::Status>());
  auto& info = found.get<PackageStat>();
  return {pk::Status::OK, pk::encodeStatReply(info.size, info.kind)};
}

PackageSession::Answer PackageSession::openFile(const pk::Open& request) {
  // Before the disk is touched: a client at its limit costs nothing.
  if (open.size() >= pk::MAX_OPEN_HANDLES) return refuse(pk::Op::OPEN, pk::Status::LIMIT);
  auto content = files.read(request.path.relative);
  if (content.is<pk::Status>()) return refuse(pk::Op::OPEN, content.get<pk::Status>());
  auto handle = unusedHandle();
  open.insert(handle, kj::mv(content.get<kj::Array<kj::byte>>()));
  return {pk::Status::OK, pk::encodeOpenReply(handle)};
}

PackageSession::Answer PackageSession::read(const pk::Read& request) {
  KJ_IF_MAYBE (content, open.find(request.handle)) {
    size_t from = kj::min(size_t(request.offset), content->size());
    size_t to = kj::min(from + request.length, content->size());
    return {pk::Status::OK, pk::encodeReadReply(content->slice(from, to))};
  }
  return refuse(pk::Op::READ, pk::Status::BADF);
}

PackageSession::Answer PackageSession::close(const pk::Close& request) {
  auto status = open.erase(request.handle) ? pk::Status::OK : pk::Status::BADF;
  return refuse(pk::Op::CLOSE, status);
}

// From 1 upward; 0 is never a handle. Comes round after four billion opens, and then skips what is open.
uint32_t PackageSession::unusedHandle() {
  do lastHandle++;
  while (lastHandle == 0 || open.find(lastHandle) != nullptr);
  return lastHandle;
}

}  // namespace nexus
