@0xfe65d7b1e88c2ed2;
# TCP/IP as capabilities. Served by netstackd. A program reaches the network only through one of these that somebody gave it, and each
# can be narrowed before it is handed on.
#
# Outcomes that a caller has to expect (refused, denied, in use) are results; the exception kinds are those of the whole project:
# OVERLOADED a bound is reached, DISCONNECTED the connection or the stack is gone, FAILED a malformed argument, UNIMPLEMENTED not built.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;
using Common = import "common.capnp";
using IpAddress = Common.IpAddress;
using SocketAddress = Common.SocketAddress;
using Fd = Common.Fd;
using Handle = Common.Handle;

enum Outcome {
  ok @0;
  denied @1;
  # Policy says no. No hint why; the decision is counted.
  refused @2;
  # The peer answered with RST.
  unreachable @3;
  timedOut @4;
  addressInUse @5;
  addressNotAvailable @6;
  notFound @7;
}

interface NetworkManager {
  # The network of one node, or a part of it. Everything made through one NetworkManager counts against one client's limits
  # (Limits in getConfig) and dies with the last reference to it.

  getConfig @0 (known :UInt32) -> (config :NetConfig);
  # Answers as soon as config.generation differs from known (0 answers at once).

  createTcpListener @1 (local :SocketAddress, backlog :UInt16) -> (outcome :Outcome, listener :TcpListener, local :SocketAddress);
  # address `any` listens on every address; port 0 lets the stack choose. backlog 0 is the default of 128; larger values are cut to 1024.

  connectTcp @2 (remote :SocketAddress, local :SocketAddress) -> (outcome :Outcome, socket :TcpSocket);
  # local may be `any` with port 0: the stack chooses a random port (RFC 6056). A port that the caller
  # chooses needs a `listen` rule too: nobody else can listen there meanwhile. Waits for the handshake; cancelling aborts it.

  createUdpSocket @3 (local :SocketAddress) -> (outcome :Outcome, socket :UdpSocket, local :SocketAddress);

  createIcmpEcho @4 () -> (outcome :Outcome, echo :IcmpEcho);

  createDnsResolver @5 () -> (outcome :Outcome, resolver :DnsResolver);
  # UNIMPLEMENTED until the resolver is built.

  createPacketTrace @6 (filter :Text, snapLength :UInt32) -> (outcome :Outcome, trace :PacketTrace);
  # UNIMPLEMENTED until tracing is built.

  restrict @7 (policy :NetPolicy) -> (manager :NetworkManager);
  # A NetworkManager that can do less: both its own policy and this one must allow a thing. Revoked with its parent.

  listenAuthority @8 (local :SocketAddress) -> (outcome :Outcome, authority :TcpListenAuthority);
  # The right to listen on that one address and port, and nothing else. Port 0 is FAILED.

  mint @9 () -> (socket :Fd, revoke :Handle, outcome :Outcome);
  # A connected Unix socket whose bootstrap object is this NetworkManager: hand the descriptor to another process, which then talks to
  # netstackd directly. Dropping `revoke` cuts it off: every capability made through it fails as DISCONNECTED. What is made through it counts against this
  # client's limits. Limit: 32 per client.
}

struct NetPolicy {
  # Deny by default: an empty policy allows nothing.

  connect @0 :List(Rule);
  listen @1 :List(Rule);
  udpBind @2 :List(Rule);
  udpSend @3 :List(Rule);
  icmpEcho @4 :Bool;
  mint @5 :Bool;

  struct Rule {
    address @0 :IpAddress;
    # `any` matches every address.
    prefixLength @1 :UInt8;
    firstPort @2 :UInt16;
    lastPort @3 :UInt16;
    # Inclusive; 0 to 65535 matches every port.
  }
}

struct NetConfig {
  generation @0 :UInt32;
  macAddress @1 :Data;
  linkUp @2 :Bool;
  mtu @3 :UInt16;
  addresses @4 :List(Address);
  gateway @5 :IpAddress;
  # `any` when there is none.
  dnsServers @6 :List(IpAddress);
  limits @7 :Limits;

  struct Address {
    address @0 :IpAddress;
    prefixLength @1 :UInt8;
    origin @2 :Origin;
    lease @3 :Lease;
    # Meaningful for origin dhcp.
  }

  enum Origin {
    static @0;
    dhcp @1;
    fallback @2;
    # No DHCP server answered: 10.42.0.H/24 from the last byte of the MAC.
    linkLocal @3;
  }

  struct Lease {
    server @0 :IpAddress;
    leaseSeconds @1 :UInt32;
    renewSeconds @2 :UInt32;
    rebindSeconds @3 :UInt32;
    ageSeconds @4 :UInt32;
  }
}

struct Limits {
  # What one client may hold at once; the next one is OVERLOADED.
  tcpListeners @0 :UInt16 = 16;
  tcpSockets @1 :UInt16 = 256;
  udpSockets @2 :UInt16 = 32;
  pendingCalls @3 :UInt16 = 16;
  # Waiting accept, recv or recvFrom calls on one socket.
  udpBacklogDatagrams @4 :UInt16 = 64;
  # Datagrams kept while nobody waits; then the oldest is dropped and counted.
  maxReadBytes @5 :UInt32 = 65536;
  minted @6 :UInt16 = 32;
  grants @7 :UInt16 = 128;
  # What restrict, listenAuthority and createIcmpEcho made.
  streamLingerMs @8 :UInt32 = 60000;
  # A stream's descriptor was closed and what was written to it before is not all on its way: after this long the connection is reset.
}

interface TcpListenAuthority {
  listen @0 (backlog :UInt16) -> (outcome :Outcome, listener :TcpListener);
}

interface TcpListener {
  # One listening port. Dropping the last reference closes it; connections already accepted live on.

  accept @0 () -> (socket :TcpSocket, remote :SocketAddress, local :SocketAddress);
  # Waits for a connection whose handshake is complete. Cancelling loses nothing: it goes to the next caller.
  close @1 () -> ();
}

interface TcpSocket {
  # One connection. Dropping the last reference sends what was accepted by send and closes it in order.

  send @0 (data :Data) -> ();
  # Returns when the stack has taken the bytes (not when they were acknowledged); waits while the send buffer is full. At most 65536
  # bytes a call. Sends are ordered as they were called.

  recv @1 (maxBytes :UInt32) -> (data :Data);
  # Waits for at least one byte; empty means the peer has closed its side. maxBytes is cut to Limits.maxReadBytes; 0 is FAILED.

  close @2 () -> ();
  # Closes our sending side (FIN) after everything sent so far; receiving goes on.

  openStream @3 () -> (stream :Fd);
  # One end of a Unix stream socketpair that carries the bytes from here on, with back-pressure both ways; shutdown(SHUT_WR) is our FIN,
  # end of file the peer's. send and recv then fail. Once per socket. The connection lives until both the descriptor and this are closed.
  # What was written before the descriptor was closed is still sent, for at most Limits.streamLingerMs; then the connection is reset.

  addresses @4 () -> (local :SocketAddress, remote :SocketAddress);
}

interface UdpSocket {
  # One bound UDP port. Dropping the last reference closes it.

  sendTo @0 (to :SocketAddress, data :Data) -> (outcome :Outcome);
  # At most 65507 bytes. Broadcast and multicast need nothing but a policy that allows the address.
  recvFrom @1 () -> (from :SocketAddress, data :Data);
  # Waits for a datagram. Cancelling loses nothing: the datagram goes to the next caller.
  joinGroup @2 (group :IpAddress) -> (outcome :Outcome);
  # Joins a multicast group (IGMP, MLD) for as long as the socket lives. To join is to receive: NetPolicy.udpBind decides, with the group as
  # address and the socket's port. At most 8 groups a socket; one more is OVERLOADED.
  close @3 () -> ();
}

interface IcmpEcho {
  ping @0 (to :IpAddress, payload :Data, timeoutMs :UInt32) -> (outcome :Outcome, roundTripUs :UInt64);
  # One echo request; ok only for the reply with our identifier, sequence number and payload. Payload at most 1400 bytes.
}

interface DnsResolver {
  resolve @0 (name :Text) -> (outcome :Outcome, addresses :List(IpAddress));
}

interface PacketTrace {
  read @0 () -> (packets :List(Packet), dropped :UInt64);

  struct Packet {
    timestampNs @0 :UInt64;
    outgoing @1 :Bool;
    originalLength @2 :UInt32;
    data @3 :Data;
  }
}
