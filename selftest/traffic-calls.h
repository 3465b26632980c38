#pragma once
// The kinds of calls that the traffic makes to the peer's services, as frames: one for each service behind the remote
// proxy, so that no service can be away unnoticed. Pure. Owned by Traffic.
#include <kj/array.h>
#include <kj/string.h>

namespace nexus {

class TrafficCalls final {
 public:
  // node: the caller's name; its key in the peer's statefs carries it.
  explicit TrafficCalls(kj::StringPtr node);

  size_t count() const { return 4; }
  kj::StringPtr service(size_t target) const;

  // What to ask next. The first calls to statefsd store a value, all later ones read it: it must outlive statefsd.
  kj::Array<kj::byte> frame(size_t target) const;

  // Whether that reply is the one that must come. To be called with the reply to the last frame of that target.
  bool accept(size_t target, kj::ArrayPtr<const kj::byte> reply);

 private:
  kj::String key, value;
  bool stored = false;
};

}  // namespace nexus
