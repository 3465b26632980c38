// The marker table: every line that a harness waits for or forbids, once. Daemons print through the constants that
// markers.h makes of it, the harness expects the same constants, and docs/testing/markers.md is generated from it, so
// that emitter, expectation and documentation cannot drift apart. No include guard: included with NEXUS_MARKER defined.
//
// NEXUS_MARKER(constant, text, owner, proves)
//   text    the fixed part of the line; a line carries the marker when it begins with it (fields may follow)
//   owner   daemon/part whose job it is when the marker is missing
//   proves  the behaviour that came before the line

// virtionetd, netstackd
NEXUS_MARKER(NET_VIRTIO_UP, "net: virtio-net up", "virtionetd/handshake",
             "features agreed, rings live, DRIVER_OK set, sandbox on")
NEXUS_MARKER(NETSTACKD_READY, "netstackd: ready", "netstackd",
             "the process is alive and serves its socket; nothing about the network")
NEXUS_MARKER(NET_DHCP_BOUND, "net: dhcp bound", "netstackd/dhcp", "a DHCP server leased an address")
NEXUS_MARKER(NET_DHCP_FALLBACK, "net: dhcp unavailable (fallback static", "netstackd/dhcp",
             "no lease within the time; the static address from the MAC is set")
NEXUS_MARKER(NET_LWIP_IFACE_UP, "net: lwip iface up", "netstackd/stack",
             "the interface has an address and the link is up")
NEXUS_MARKER(NETSTACKD_FACADE_UP, "netstackd: facade up", "netstackd", "NetworkManager answered a call over its socket")

// selftest, network
NEXUS_MARKER(SELFTEST_NET_IFACE, "SELFTEST: net iface ok", "selftest/net",
             "getConfig reports a link that is up and an address")
NEXUS_MARKER(SELFTEST_NET_PING, "SELFTEST: net ping ok", "selftest/net", "the gateway answered an echo request")
NEXUS_MARKER(SELFTEST_NET_UDP_DNS, "SELFTEST: net udp dns ok", "selftest/net",
             "a DNS query over UDP got its own answer")
NEXUS_MARKER(SELFTEST_NET_TCP_LISTEN, "SELFTEST: net tcp listen ok", "selftest/net",
             "a listener accepted a connection and bytes crossed it both ways")
NEXUS_MARKER(SELFTEST_ICMP_PING, "SELFTEST: icmp ping ok", "selftest/net",
             "IcmpEcho measured a round trip through the capability")
NEXUS_MARKER(SELFTEST_DMA_ISOLATION, "SELFTEST: dma isolation ok", "initd/device-broker",
             "descriptors that point outside the buffers changed nothing and leaked nothing")
NEXUS_MARKER(SELFTEST_DRIVER_RESTART, "SELFTEST: driver restart ok", "initd/supervisor",
             "virtionetd was killed under a TCP transfer, which completed intact")

// samgrd, bundlemgrd, packagefsd, statefsd
NEXUS_MARKER(SAMGRD_READY, "samgrd: ready", "samgrd", "serves its socket")
NEXUS_MARKER(BUNDLEMGRD_READY, "bundlemgrd: ready", "bundlemgrd", "read its store and serves its socket")
NEXUS_MARKER(PACKAGEFSD_READY, "packagefsd: ready", "packagefsd", "opened its store and serves its socket")
NEXUS_MARKER(STATEFSD_READY, "statefsd: ready", "statefsd", "read the keys of its folder and serves its socket")
NEXUS_MARKER(SELFTEST_SAMGRD_REGISTER, "SELFTEST: samgrd v1 register ok", "samgrd", "REGISTER vfsd answered status 0")
NEXUS_MARKER(SELFTEST_SAMGRD_LOOKUP, "SELFTEST: samgrd v1 lookup ok", "samgrd",
             "LOOKUP vfsd answered the same two slots")
NEXUS_MARKER(SELFTEST_SAMGRD_UNKNOWN, "SELFTEST: samgrd v1 unknown ok", "samgrd",
             "LOOKUP does.not.exist answered status 1")
NEXUS_MARKER(SELFTEST_SAMGRD_MALFORMED, "SELFTEST: samgrd v1 malformed ok", "samgrd",
             "the 3-byte request got a 13-byte reply with a status that is not 0")
NEXUS_MARKER(SELFTEST_BUNDLEMGRD_LIST, "SELFTEST: bundlemgrd v1 list ok", "bundlemgrd",
             "LIST answered status 0 and the count of the store")
NEXUS_MARKER(SELFTEST_BUNDLEMGRD_IMAGE, "SELFTEST: bundlemgrd v1 image ok", "bundlemgrd",
             "FETCH_IMAGE decoded whole, with at least one entry")
NEXUS_MARKER(SELFTEST_BUNDLEMGRD_MALFORMED, "SELFTEST: bundlemgrd v1 malformed ok", "bundlemgrd",
             "the 3-byte request got an 8-byte reply with a status that is not 0")

// dsoftbusd
NEXUS_MARKER(BUS_TRANSPORT_UP, "dsoftbusd: os transport up (udp+tcp)", "dsoftbusd",
             "discovery socket and session listener are open on the stack")
NEXUS_MARKER(BUS_READY, "dsoftbusd: ready", "dsoftbusd", "serves its socket")
NEXUS_MARKER(BUS_DISCOVERY_UP, "dsoftbusd: discovery cross-vm up", "dsoftbusd/discovery",
             "group joined, socket bound, first announcement sent")
NEXUS_MARKER(BUS_ANNOUNCE_SENT, "dsoftbusd: discovery announce sent", "dsoftbusd/discovery", "an announcement left")
NEXUS_MARKER(BUS_DISCOVERY_LOOPBACK, "dsoftbusd: discovery up (udp loopback)", "dsoftbusd/discovery",
             "an announcement left for an address of this node's own stack")
NEXUS_MARKER(BUS_PEER_LOCAL, "dsoftbusd: discovery peer found device=local", "dsoftbusd/discovery",
             "a peer's announcement came from an address of this node's own stack and was accepted into the table")
NEXUS_MARKER(BUS_PEER_LEARNED, "dsoftbusd: discovery peer learned", "dsoftbusd/discovery",
             "a peer's announcement was accepted into the table")
NEXUS_MARKER(BUS_SESSION_CONNECT_B, "dsoftbusd: session connect peer=node-b", "dsoftbusd/session",
             "a TCP connection to where node-b announced itself was made")
NEXUS_MARKER(BUS_IDENTITY_BOUND_B, "dsoftbusd: identity bound peer=node-b", "dsoftbusd/session",
             "the keys that were proven in the handshake are those that the trust table has for node-b")
NEXUS_MARKER(BUS_DUAL_NODE_SESSION, "dsoftbusd: dual-node session ok", "dsoftbusd/session",
             "a live session, both ways, with another node on the same stack")
NEXUS_MARKER(BUS_AUTH_OK, "dsoftbusd: auth ok", "dsoftbusd/session",
             "Noise XK finished and the peer's device key is bound to its static key")
NEXUS_MARKER(BUS_OS_SESSION_OK, "dsoftbusd: os session ok", "dsoftbusd/session",
             "an encrypted record crossed the session both ways")
NEXUS_MARKER(BUS_CROSS_SESSION_A, "dsoftbusd: cross-vm session ok node-a", "dsoftbusd/session",
             "authenticated, bound and live session with node-a")
NEXUS_MARKER(BUS_CROSS_SESSION_B, "dsoftbusd: cross-vm session ok node-b", "dsoftbusd/session",
             "authenticated, bound and live session with node-b")
NEXUS_MARKER(BUS_PROXY_UP, "dsoftbusd: remote proxy up", "dsoftbusd/remote-proxy",
             "the policy table is loaded and requests are taken")
NEXUS_MARKER(BUS_PROXY_RX, "dsoftbusd: remote proxy rx", "dsoftbusd/remote-proxy",
             "a first request record was decrypted")
NEXUS_MARKER(BUS_PROXY_OK_SAMGRD, "dsoftbusd: remote proxy ok (peer=node-a service=samgrd)", "dsoftbusd/remote-proxy",
             "an allowed call was answered by samgrd")
NEXUS_MARKER(BUS_PROXY_OK_BUNDLEMGRD, "dsoftbusd: remote proxy ok (peer=node-a service=bundlemgrd)",
             "dsoftbusd/remote-proxy", "an allowed call was answered by bundlemgrd")
NEXUS_MARKER(BUS_REMOTE_PACKAGEFS, "dsoftbusd: remote packagefs served", "dsoftbusd/remote-proxy",
             "a peer's request to packagefsd was answered OK")
NEXUS_MARKER(BUS_REMOTE_STATEFS, "dsoftbusd: remote statefs served", "dsoftbusd/remote-proxy",
             "a peer's put or delete was done by statefsd")
NEXUS_MARKER(BUS_DENIED_SERVICE, "dsoftbusd: remote proxy denied (service=unknown)", "dsoftbusd/remote-proxy",
             "a call to a service without a rule was refused with a status and audited")
NEXUS_MARKER(BUS_DENIED_UNAUTHENTICATED, "dsoftbusd: remote proxy denied (unauthenticated)", "dsoftbusd/remote-proxy",
             "a call on a connection whose peer is not bound to a trusted key was refused and audited")

// selftest, mux between two nodes of one machine: as between two machines
NEXUS_MARKER(BUS_MUX_UP, "dsoftbus:mux session up", "dsoftbusd/mux",
             "a stream of priority 0 to the other node was opened, allowed and accepted")
NEXUS_MARKER(BUS_MUX_DATA, "dsoftbus:mux data ok", "dsoftbusd/mux",
             "40000 bytes of known content arrived each way over it")
NEXUS_MARKER(
    SELFTEST_MUX_PRI, "SELFTEST: mux pri control ok", "dsoftbusd/mux",
    "8 round trips of priority 0, each while at least 128 KiB of a full stream of priority 4 lay unread before it")
NEXUS_MARKER(SELFTEST_MUX_BULK, "SELFTEST: mux bulk ok", "dsoftbusd/mux",
             "1 MiB to the end of a stream has the same SHA-256 at both ends")
NEXUS_MARKER(SELFTEST_MUX_BACKPRESSURE, "SELFTEST: mux backpressure ok", "dsoftbusd/mux",
             "a writer whose peer does not read was stopped at 64 KiB, later within 256 KiB, and lost nothing")
NEXUS_MARKER(BUS_MUX_FAIL, "dsoftbus:mux fail", "dsoftbusd/mux", "a step of the five above failed; the reason follows")

// selftest, mux between two machines
NEXUS_MARKER(BUS_MUX_CROSSVM_UP, "dsoftbus:mux crossvm session up", "dsoftbusd/mux-crossvm",
             "a stream of priority 0 to the other machine was opened, allowed and accepted")
NEXUS_MARKER(BUS_MUX_CROSSVM_DATA, "dsoftbus:mux crossvm data ok", "dsoftbusd/mux-crossvm",
             "40000 bytes of known content arrived each way over it")
NEXUS_MARKER(
    SELFTEST_MUX_CROSSVM_PRI, "SELFTEST: mux crossvm pri control ok", "dsoftbusd/mux-crossvm",
    "8 round trips of priority 0, each while at least 128 KiB of a full stream of priority 4 lay unread before it")
NEXUS_MARKER(SELFTEST_MUX_CROSSVM_BULK, "SELFTEST: mux crossvm bulk ok", "dsoftbusd/mux-crossvm",
             "1 MiB to the end of a stream has the same SHA-256 at both ends")
NEXUS_MARKER(SELFTEST_MUX_CROSSVM_BACKPRESSURE, "SELFTEST: mux crossvm backpressure ok", "dsoftbusd/mux-crossvm",
             "a writer whose peer does not read was stopped at 64 KiB, later within 256 KiB, and lost nothing")
NEXUS_MARKER(BUS_MUX_CROSSVM_FAIL, "dsoftbus:mux crossvm fail", "dsoftbusd/mux-crossvm",
             "a step of the five above failed; the reason follows")

// selftest, bus
NEXUS_MARKER(SELFTEST_BUS_CONNECT, "SELFTEST: dsoftbus os connect ok", "selftest/bus",
             "a session with this node's own dsoftbusd over the stack")
NEXUS_MARKER(SELFTEST_BUS_PING, "SELFTEST: dsoftbus ping ok", "selftest/bus",
             "an encrypted ping came back with its own payload")
NEXUS_MARKER(SELFTEST_REMOTE_RESOLVE, "SELFTEST: remote resolve ok", "selftest/remote",
             "the peer's samgrd answered RESOLVE_STATUS for bundlemgrd")
NEXUS_MARKER(SELFTEST_REMOTE_QUERY, "SELFTEST: remote query ok", "selftest/remote",
             "the peer's bundlemgrd answered LIST")
NEXUS_MARKER(SELFTEST_REMOTE_STATEFS, "SELFTEST: remote statefs rw ok", "dsoftbusd/remote-proxy-statefs",
             "a value was put into the peer's statefs, read back, deleted, and was gone")
NEXUS_MARKER(SELFTEST_REMOTE_PKGFS_STAT, "SELFTEST: remote pkgfs stat ok", "dsoftbusd/remote-proxy-packagefs-stat",
             "the peer's packagefs told kind and size of pkg:/system/build.prop")
NEXUS_MARKER(SELFTEST_REMOTE_PKGFS_OPEN, "SELFTEST: remote pkgfs open ok", "dsoftbusd/remote-proxy-packagefs-open",
             "it was opened under a handle")
NEXUS_MARKER(SELFTEST_REMOTE_PKGFS_READ_STEP, "SELFTEST: remote pkgfs read step ok",
             "dsoftbusd/remote-proxy-packagefs-read", "a read of 64 bytes was answered with as many as the file has")
NEXUS_MARKER(SELFTEST_REMOTE_PKGFS_CLOSE, "SELFTEST: remote pkgfs close ok", "dsoftbusd/remote-proxy-packagefs-close",
             "the handle was closed, and is none any more")
NEXUS_MARKER(SELFTEST_REMOTE_PKGFS_READ, "SELFTEST: remote pkgfs read ok", "dsoftbusd/remote-proxy-packagefs",
             "stat, open, read and close succeeded, and what was read is the file's content")
NEXUS_MARKER(SELFTEST_REMOTE_RPC, "SELFTEST: remote rpc ok", "dsoftbusd/schema-rpc",
             "the peer's samgrd answered two calls of its own schema, and a method that no rule names was denied")
NEXUS_MARKER(SELFTEST_REMOTE_DENIED, "SELFTEST: remote denied ok", "selftest/remote",
             "a call without a rule and a call of a stranger both got their refusal")
NEXUS_MARKER(SELFTEST_REMOTE_SEEN, "SELFTEST: remote seen ok", "selftest/remote",
             "this node's audit log has the peer's allowed and refused calls")
NEXUS_MARKER(SELFTEST_SOAK, "SELFTEST: soak traffic ok", "selftest/traffic",
             "calls and a stream to the peer went on for the whole soak and none failed; the counts follow")
NEXUS_MARKER(SELFTEST_CHAOS, "SELFTEST: chaos traffic ok", "selftest/traffic",
             "calls and streams were whole again after each thing that was broken; the counts follow")
NEXUS_MARKER(SELFTEST_END, "SELFTEST: end", "selftest", "every step has run")
