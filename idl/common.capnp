@0xfeb83330e6e1fbb5;
# Types that more than one interface uses: addresses, file descriptors, and the handle whose drop undoes.
# Imported by every other schema; serves nothing by itself.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

struct IpAddress {
  # One address, typed by its family. Any other length is an error (FAILED), never a guess.

  union {
    v4 @0 :Data;
    # 4 bytes, network order.

    v6 @1 :Data;
    # 16 bytes, network order.

    any @2 :Void;
    # The unspecified address. Legal only where a method says so.
  }
}

struct SocketAddress {
  address @0 :IpAddress;
  port @1 :UInt16;
}

interface Fd {
  # A capability that carries one file descriptor of the serving process (SCM_RIGHTS). It has no methods: holding it is the authority,
  # and the receiver takes the descriptor out of it. Works only over a Unix socket.
}

interface Handle {
  # Something that lasts for as long as this reference lives. Dropping it undoes the call that returned it.
}
