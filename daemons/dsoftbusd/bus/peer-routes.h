#pragma once
// The ways to one peer: the addresses at which it was heard and the one that its trust entry names, over the links of
// this node that are there. One is tried after the other, the one heard last first. Owned by the link of that peer;
// pure, but for the references to the transports that it hands out.
#include <kj/vector.h>

#include "daemons/dsoftbusd/transport/transport.h"

namespace nexus {

// Over which of the node's links (its place in the configuration), to which address.
struct PeerRoute {
  size_t link = 0;
  SocketAddress at;

  bool operator==(const PeerRoute&) const = default;
};

class PeerRoutes {
 public:
  // fixed: the address of the trust entry; tried over every link, after what was heard.
  explicit PeerRoutes(kj::Maybe<SocketAddress> fixed = nullptr) : fixed(fixed) {}

  // The transport of a link, which outlives its place here, or null when the link is gone.
  void setTransport(size_t link, kj::Maybe<Transport&> transport);

  // The trust entry has another address, or none.
  void setFixed(kj::Maybe<SocketAddress> address);

  // What is heard now, best first. Returns whether that is a change. If it has an address that was not heard before,
  // the first one is tried next; else the turns go on, so that who announces other ports all the time does not keep
  // the addresses after his from their turn.
  bool setHeard(kj::ArrayPtr<const PeerRoute> routes);

  // Whether the peer was heard at that address; whether it is the one that the trust entry names.
  bool isHeardAt(const IpAddress& address) const;
  bool isFixedAt(const IpAddress& address) const;

  // Whether next() may come to that address.
  bool contains(const SocketAddress& to) const;

  bool hasLink() const;
  bool isKnown() const { return heard.size() > 0 || fixed != nullptr; }

  struct Choice {
    Transport& over;
    SocketAddress to;
  };
  // What to dial next; null while there is no link or no address.
  kj::Maybe<Choice> next() const;

  // What next() said did not lead to the peer: another one is tried next. denied: by this node's own network policy.
  void failed(bool denied);
  void worked() { deniedInARow = 0; }

  // This node's own network policy forbids every one of them.
  bool allDenied() const;

 private:
  kj::Maybe<SocketAddress> fixed;
  kj::Vector<kj::Maybe<Transport&>> transports;  // by link
  kj::Vector<PeerRoute> heard;
  size_t turn = 0;  // counts failures
  size_t deniedInARow = 0;

  kj::Vector<Choice> usable() const;
  void startOver();
};

}  // namespace nexus
