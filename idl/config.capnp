@0xac871588257b6694;
# The configuration of each daemon: one struct per daemon, the defaults in the types. The files are TOML with the same names
# (`--config FILE`); an unknown key or a wrong type is an error that names file and line.
#
#   [netstackd]                      [dsoftbusd]
#   addressing = "dhcp"              nodeName = "node-a"

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::config");

struct Virtionetd {
  backend @0 :Backend = vfio;
  # vfio: the import `device`. tap: a TAP interface that exists or may be made. stream: frames with a 4-byte big-endian length on a
  # Unix stream socket, as QEMU -netdev stream, passt and gvproxy speak.
  tapName @1 :Text;
  streamPath @2 :Text;
  streamListen @3 :Bool = false;
  # Listen at streamPath instead of connecting to it. A socket that is there is taken over unless somebody answers on it.
  macAddress @4 :Text;
  # "52:54:00:12:34:0a"; for tap and stream, empty makes a random locally administered one.
  receiveBuffers @5 :UInt16 = 512;
  transmitBuffers @6 :UInt16 = 512;
  # Each 2048 bytes. A power of two, 16 to 4096.
  sandbox @7 :Bool = true;

  enum Backend {
    vfio @0;
    tap @1;
    stream @2;
  }
}

struct Netstackd {
  addressing @0 :Addressing = dhcp;
  address @1 :Text;
  # "10.42.0.10/24", for static.
  gateway @2 :Text;
  dhcpTimeoutMs @3 :UInt32 = 4000;
  # No lease within this time: the static fallback 10.42.0.H/24 from the last byte of the MAC (0 becomes 1). A later lease replaces it
  # only when the daemon is started again.
  exports @4 :List(Export);
  # Narrowed NetworkManagers beside the full one: [[exports]] name = "net-dsoftbusd" and its policy.
  sandbox @5 :Bool = true;
  streamLingerMs @6 :UInt32 = 60000;
  # How long a closed stream's last bytes may wait for a peer that does not read; then the connection is reset. 100 to 3600000.

  enum Addressing {
    dhcp @0;
    static @1;
  }

  struct Export {
    name @0 :Text;
    # The name of the inherited socket or of --export.
    connect @1 :List(Text);
    # Rules as text: "10.42.0.0/24:34567-34568", "*:*", "10.0.2.2:53".
    listen @2 :List(Text);
    udpBind @3 :List(Text);
    udpSend @4 :List(Text);
    icmpEcho @5 :Bool;
    mint @6 :Bool;
  }
}

struct Dsoftbusd {
  nodeName @0 :Text;
  identityFile @1 :Text;
  # 0600 file with the Ed25519 seed, 64 hexadecimal digits; or "credential:NAME", the file of that name in $CREDENTIALS_DIRECTORY, as
  # systemd's LoadCredential= puts it there.
  testIdentity @2 :Text;
  # Bring-up only: derives a publicly known key from this text and says so in the log. Needs allowTestIdentity.
  allowTestIdentity @3 :Bool = false;
  sessionPort @4 :UInt16 = 34567;
  discoveryPort @5 :UInt16 = 37020;
  multicastGroup @6 :Text = "239.42.0.1";
  broadcast @7 :Bool = true;
  unicastPeers @8 :List(Text);
  # Addresses that are announced to directly, besides group and broadcast.
  services @9 :List(Text);
  # Announced names; at most 16.
  trust @10 :List(Trust);
  policy @11 :List(Rule);
  # At most 4096, and as many of candidate.
  ratePerSecond @12 :UInt32 = 50;
  rateBurst @13 :UInt32 = 100;
  maxPeers @14 :UInt16 = 16;
  peerTtlMs @15 :UInt32 = 60000;
  announceIntervalMs @16 :UInt32 = 1000;
  # The first interval; it doubles up to announceMaxMs.
  announceMaxMs @17 :UInt32 = 15000;
  sandbox @18 :Bool = true;
  mesh @20 :Text;
  # 1 to 64 bytes: nodes with the same tag hear each other, all others are ignored. No secret and no protection. Empty: no tag.
  multicastGroup6 @21 :Text = "ff02::4e58:5342";
  # The IPv6 group of each link, beside multicastGroup.
  links @22 :List(Text);
  # The imports that are networks (each a NetworkManager): the node listens and announces itself on every one. Without it: "net".
  offers @28 :List(Offer);
  # Local services that other nodes may call through Cap'n Proto RPC, as the rules for "rpc:NAME" say; at most 16.

  struct Offer {
    name @0 :Text;
    # Other nodes ask for this name. 1 to 40 characters of a-z, 0-9, '-', '.' and '_'.
    import @1 :Text;
    # The import of the daemon that the calls go to (--import); empty: the name.
    schema @2 :Text;
    # "samgr", "bundlemgr", or the path of a compiled schema (capnp compile -o- FILE.capnp > PATH), read at the start, at most 4 MiB; empty:
    # the name.
    interface @3 :Text;
    # Which interface of the schema, "Notes"; may be empty when it has only one.
  }

  candidate @19 :List(Rule);
  # Dry run: a whole policy table beside `policy`. It decides nothing; where it would decide otherwise is counted and audited. Present,
  # even empty (candidate = []): a dry run; absent: none.
  maxTrustedPeers @26 :UInt16 = 64;
  # Configured and paired ones together; 1 to 1024. Each may have a session.
  trustFile @27 :Text;
  # Where paired peers are kept ("nexusctl bus pair"); made when the first one is paired, 0600. Its folder must exist and be writable by
  # nobody else. Without it no peer can be paired.

  auditFile @23 :Text;
  # Each audit record as a line of this file too (docs/distributed/audit-file.md); empty: only in the ring.
  auditFileMaxBytes @24 :UInt64 = 8388608;
  # 65536 to 1073741824; before it would be larger, the file is put aside.
  auditFilesKept @25 :UInt16 = 4;
  # 1 to 99 older files.

  struct Trust {
    name @0 :Text;
    deviceId @1 :Text;
    staticKey @2 :Text;
    # X25519 public key, 64 hexadecimal digits.
    testIdentity @3 :Text;
    # Instead of both, for bring-up: the peer's test identity.
    dial @4 :Bool = true;
    # false: never dial this peer, wait for it to dial. Either way there is one session; two dials at once leave that of the lower device id.
    address @5 :Text;
    # Where to dial this peer also when no announcement of it is heard: "10.0.0.2" (session port 34567), "10.0.0.2:34568", "[fe80::2]:34567".
    previousDeviceId @6 :Text;
    previousStaticKey @7 :Text;
    previousUntil @8 :Text;
    # All three or none: the key that this peer had before, accepted beside the new one until then, "2026-12-01T00:00:00Z" (UTC). Afterwards
    # it is refused, and a session that it opened ends.
  }

  struct Rule {
    peer @0 :Text;
    # A name of the trust table; no wildcard.
    service @1 :Text;
    operations @2 :List(Text);
    # "resolve-status" for samgrd; "list", "query", "fetch-image" for bundlemgrd; "stat", "open", "read", "close" for packagefsd; "put",
    # "get", "del", "list", "sync" for statefsd; "open" for "stream:NAME", a stream of that name which the peer opens to this node;
    # names of methods for "rpc:NAME", an offer.
  }
}

struct Samgrd {
  services @0 :List(Text);
  # Names present from the start, registered by the supervisor.
  sandbox @1 :Bool = true;
}

struct Bundlemgrd {
  store @0 :Text = "/var/lib/nexus/bundles";
  # One folder per bundle: NAME/VERSION/files...
  sandbox @1 :Bool = true;
}

struct Packagefsd {
  store @0 :Text = "/var/lib/nexus/bundles";
  # The folder that bundlemgrd reads too.
  sandbox @1 :Bool = true;
}

struct Statefsd {
  folder @0 :Text = "/var/lib/nexus/state";
  # One file for each key; used by one statefsd at a time.
  sandbox @1 :Bool = true;
}

struct HostNet {
  address @0 :Text = "127.0.0.1";
  # The one address of this machine that the served network has.
}

struct Selftest {
  # Written by the supervisor of a test guest from the kernel command line.
  profile @0 :Profile;
  node @1 :Text;
  # "a" or "b".
  dnsPort @2 :UInt16;
  # Where the harness answers DNS queries at the gateway; 0 when it does not.
  tcpPort @3 :UInt16;
  # Where the harness's transfer peer listens at the gateway (libs/nexus-net-os/testing/host-peer-protocol.h); 0 when it does not.
  scale @4 :UInt16 = 100;
  # Every deadline in percent of its own: slow emulation needs more than 100.
  traffic @5 :Bool = false;
  # After the other steps, keep calls and streams to the peer up until the harness orders the end (profile os2vm).

  enum Profile {
    qemuTest @0;
    os2vm @1;
  }
}
