#pragma once
// Who may connect, listen, bind and send where: a table, deny by default. A value; every NetworkManager owns one.
// Narrowing adds a layer, and a thing is allowed only when every layer allows it, so that no client can widen what it
// was given. Knows nothing of sockets.
#include <kj/vector.h>

#include <memory>
#include <vector>

#include "idl/config.capnp.h"
#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class NetPolicy {
 public:
  enum class Action { CONNECT, LISTEN, UDP_BIND, UDP_SEND };
  static constexpr kj::uint ACTION_COUNT = 4;

  static constexpr size_t MAX_RULES = 256;  // per action and layer; more is FAILED
  static constexpr size_t MAX_LAYERS = 16;  // restrict calls in a row; one more is OVERLOADED

  struct Rule {
    IpAddress address;  // any matches every address, the unspecified one included
    kj::byte prefixLength = 0;
    uint16_t firstPort = 0;
    uint16_t lastPort = 0;

    // The unspecified address (listen on everything) is matched only by a rule for any address; port 0 (the stack
    // chooses) only by a range that begins at 0.
    bool matches(const SocketAddress& target) const;

    // "10.42.0.0/24:34567-34568", "10.0.2.2:53", "[fd00::/8]:*", "*:*". Null for anything else.
    static kj::Maybe<Rule> tryParse(kj::StringPtr text);

    bool operator==(const Rule&) const = default;
  };

  // Denies everything.
  NetPolicy();
  static NetPolicy allowEverything();

  // FAILED when a rule is malformed: a prefix longer than the address, a port range that is upside down, too many
  // rules.
  static NetPolicy fromIdl(idl::NetPolicy::Reader reader);
  // FAILED, naming the rule, when a rule cannot be read.
  static NetPolicy fromConfig(config::Netstackd::Export::Reader reader);

  // What both this and `other` allow.
  NetPolicy restrictedBy(const NetPolicy& other) const;

  bool allows(Action action, const SocketAddress& target) const;
  bool allowsIcmpEcho() const;
  bool allowsMint() const;

 private:
  struct Layer {
    kj::Vector<Rule> rules[ACTION_COUNT];
    bool icmpEcho = false;
    bool mint = false;
  };
  std::vector<std::shared_ptr<const Layer>> layers;  // never changed once made, shared by every copy

  explicit NetPolicy(std::shared_ptr<const Layer> layer);
};

}  // namespace nexus
