@0xd38a1c1c7a3b5f62;
# Whom a node of the bus trusts, and the ways to change it while it runs. Served by dsoftbusd as `bus-trust`, apart from `bus`: whoever holds
# it decides whose keys this node believes. Trust gives a peer an identity and a session; what it may do is the policy's, and that is nothing
# until a rule says so.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;
using SocketAddress = import "common.capnp".SocketAddress;

interface BusTrust {
  list @0 () -> (peers :List(TrustedPeer), most :UInt32, trustFile :Text);
  # The whole trust table. most: how many peers it may have. trustFile: where paired peers are kept; empty: nowhere, and none can be paired.

  pair @1 (name :Text, peer :Text, windowMs :UInt32 = 120000) -> (outcome :PairOutcome, reason :Text, pairing :Pairing);
  # Opens the window in which this node pairs with one other, which has one open too. name: what the peer is called here; 1 to 64 letters,
  # digits, hyphens, underscores or dots. peer: the device id of a node that announces itself, or its first eight digits or more: that one is
  # dialled and no other is taken; an address ("10.0.0.2", "10.0.0.2:34567"): that is dialled; empty: the other one dials. windowMs: 1000 to
  # 600000. One window at a time; dropping the capability closes it.

  unpair @2 (peer :Text) -> (outcome :UnpairOutcome);
  # By name or device id. The peer's session ends at once.

  rekey @3 (peer :Text, deviceId :Text, staticKey :Text, until :Text) -> (outcome :RekeyOutcome);
  # A paired peer, by name or device id, has another key from now on: deviceId and staticKey, 64 hexadecimal digits each, as the peer
  # itself told them over a way that can be trusted (nexusctl bus rotate). The key that it had is accepted too until that time ("2026-12-01T00:00:00Z",
  # UTC), over restarts of this daemon, and no longer; one that was accepted before it ends at once. Sessions go on.

  enum RekeyOutcome {
    ok @0;
    unknownPeer @1;
    configured @2;
    # The peer stands in the configuration file: its key is changed there (previousDeviceId and so on).
    badKey @3;
    # Not 64 hexadecimal digits each.
    sameKey @4;
    # The peer is that device already.
    alreadyTrusted @5;
    # That device is in the table under another name.
    badTime @6;
    # No time, or not one to come by the clock of this node.
    notStored @7;
    # The trust file could not be written; nothing has changed.
  }

  struct TrustedPeer {
    name @0 :Text;
    deviceId @1 :Text;
    staticKey @2 :Text;
    # 64 hexadecimal digits each.
    origin @3 :Origin;
    previousDeviceId @4 :Text;
    # Still accepted; empty: none.
    graceMs @5 :UInt64;
    # For so long.
  }

  enum Origin {
    configuration @0;
    pairing @1;
  }

  enum UnpairOutcome {
    ok @0;
    unknownPeer @1;
    configured @2;
    # The peer stands in the configuration file: it is taken out there.
    notStored @3;
    # The trust file could not be written; nothing has changed.
  }
}

interface Pairing {
  # One open window.

  code @0 () -> (outcome :PairOutcome, reason :Text, code :Text, deviceId :Text, address :SocketAddress);
  # Waits until both nodes have talked, then gives seven digits, "123-4567": if the other node shows the same, nobody is in between.

  confirm @1 (same :Bool) -> (outcome :PairOutcome, reason :Text);
  # What the person here says of the digits; then waits for the other side. OK: the peer is trusted from now on, and stored. FAILED before
  # there is a code, and the second time.
}

enum PairOutcome {
  ok @0;
  badName @1;
  badPeer @2;
  # Neither an address nor a device id that is heard.
  nameTaken @3;
  alreadyTrusted @4;
  # That device is in the table under another name.
  tableFull @5;
  noTrustFile @6;
  busy @7;
  # Another window is open.
  timedOut @8;
  refusedHere @9;
  refusedThere @10;
  failed @11;
  # The other node broke the exchange off or broke its rules, or this one could not store it: see the reason.
}
