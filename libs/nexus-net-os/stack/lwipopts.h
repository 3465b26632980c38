#pragma once
/* The options of lwIP 2.2.1, each with its reason. Read by lwIP's C sources and by stack/; what is not named here has
 * lwIP's default.
 *
 * The rule for memory: what a stranger can make the stack keep is a pool or is counted against the heap's limit, and
 * has a policy when it is full. Pools are static arrays; their sizes bound the process. */

/* ---- how lwIP is run ---- */
#define NO_SYS 1               /* one thread, driven by the kj event loop */
#define SYS_LIGHTWEIGHT_PROT 0 /* nothing else touches lwIP, so nothing is locked */
#define LWIP_SOCKET 0          /* promises over raw pcbs instead: stack/tcp-conn and its siblings */
#define LWIP_NETCONN 0
#define LWIP_TIMERS 1
#define LWIP_TIMERS_CUSTOM \
  1 /* stack/lwip-timers runs lwip_cyclic_timers at their deadlines and owns all state, so that it can end */
#define LWIP_SINGLE_NETIF 0 /* addresses without a link are asked for routes; a second link comes */
#define LWIP_HOOK_FILENAME "lwip-hooks.h"

/* ---- memory ---- */
#define MEM_CUSTOM_ALLOCATOR 1 /* malloc, counted and limited: no linear search, and visible to AddressSanitizer */
#define MEM_CUSTOM_MALLOC nexus_lwip_malloc
#define MEM_CUSTOM_CALLOC nexus_lwip_calloc
#define MEM_CUSTOM_FREE nexus_lwip_free
#define MEMP_MEM_MALLOC 0   /* pools have hard limits; the heap would not tell connection blocks from payload */
#define MEM_ALIGNMENT 8     /* pointers are 8 bytes */
#define MEM_SIZE 0x7fffffff /* unused with MEM_LIBC_MALLOC but for a range check; the limit is nexus_lwip_malloc's */

#define MEMP_NUM_TCP_PCB                                                                       \
  1024 /* 256 sockets a client, four busy clients; half-open ones and TIME-WAIT give way first \
        */
#define MEMP_NUM_TCP_PCB_LISTEN 128 /* 16 listeners a client */
#define MEMP_NUM_TCP_SEG 8192  /* segments queued for sending or out of order; ten full send buffers at the full MSS */
#define MEMP_NUM_UDP_PCB 256   /* 32 a client */
#define MEMP_NUM_RAW_PCB 64    /* one for each IcmpEcho */
#define MEMP_NUM_PBUF 1024     /* referencing pbufs: ARP queue, IP fragments */
#define PBUF_POOL_SIZE 16      /* lwIP draws from the pool only in icmp and loopback corners; frames do not */
#define PBUF_POOL_BUFSIZE 1600 /* a whole frame in one piece */
#define MEMP_NUM_REASSDATA 16  /* datagrams in reassembly, IPv4 and IPv6 each */
#define IP_REASS_MAX_PBUFS 128 /* fragments in reassembly; the oldest datagram gives way */
#define IP_REASS_MAXAGE 15     /* seconds (RFC 791 suggests 15) */
#define IPV6_REASS_MAXAGE 60   /* seconds (RFC 8200, 4.5) */
#define MEMP_NUM_FRAG_PBUF 64  /* fragments being sent */
#define MEMP_NUM_ARP_QUEUE 64  /* packets that wait for ARP */
#define ARP_QUEUEING 1         /* the first datagrams of a burst to a new neighbour are not lost */
#define ARP_QUEUE_LEN 3        /* a neighbour, so that a silent one cannot take the pool */
#define ARP_TABLE_SIZE 64      /* a /24 in use; the least recently used gives way */
#define ETHARP_TABLE_MATCH_NETIF 1 /* an entry counts only for the link it was learned on */
#define MEMP_NUM_IGMP_GROUP 34     /* all-systems, and 8 for each of four sockets */
#define MEMP_NUM_MLD6_GROUP 16
#define MEMP_NUM_ND6_QUEUE 32
#define MEMP_NUM_SYS_TIMEOUT 16 /* unused with LWIP_TIMERS_CUSTOM, but lwIP checks it */
#define LWIP_DISABLE_TCP_SANITY_CHECKS \
  1 /* one check wants the window to fit into the pbuf pool, which received frames do not use */

/* ---- Ethernet, ARP ---- */
#define LWIP_ETHERNET 1
#define LWIP_ARP 1
#define ETH_PAD_SIZE 0                   /* headers are packed structs; frames lie where the device put them */
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1 /* DHCP's changes reach LwipStack */
#define LWIP_NETIF_LOOPBACK 1            /* a node can connect to its own address */
#define LWIP_LOOPBACK_MAX_PBUFS 1024     /* then the sender sees a loss and retransmits */
#define LWIP_HAVE_LOOPIF 0               /* 127/8 is never on the wire and nobody here listens on it */
#define LWIP_NETIF_TX_SINGLE_PBUF 0      /* the port gathers the pieces */

/* ---- IPv4 ---- */
#define LWIP_IPV4 1
#define IP_FORWARD 0 /* a host, not a router */
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define IP_OPTIONS_ALLOWED 1 /* IGMP carries router alert */
#define LWIP_RAW 1           /* IcmpEcho */
#define LWIP_ICMP 1
#define LWIP_BROADCAST_PING 0 /* no amplification: only requests to an own unicast address are answered */
#define LWIP_MULTICAST_PING 0
#define LWIP_IGMP 1                 /* discovery joins 239.42.0.1 */
#define LWIP_MULTICAST_TX_OPTIONS 1 /* required by IGMP */
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK \
  0 /* probing for conflicts would delay the first lease by about 8 s; the server has pinged */
#define DHCP_COARSE_TIMER_SECS 1  /* lease times in seconds: with the default of 60 a short lease is renewed late */
#define DHCP_TIMEOUT_SIZE_T u32_t /* with 1 s ticks a u16 would cut leases at 18 hours */
#define LWIP_AUTOIP 0             /* the fallback address is our own rule, not 169.254/16 */
#define LWIP_DHCP_MAX_DNS_SERVERS 3
#define LWIP_DNS 1 /* only its server list, which DHCP fills; names are not resolved here */
#define DNS_MAX_SERVERS 3

/* ---- IPv6 ---- */
#define LWIP_IPV6 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers are larger than the field they would be hidden in: lwIP aborts otherwise */
#define LWIP_IPV6_REASS 1
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_AUTOCONFIG 0 /* no global addresses yet */
#define LWIP_IPV6_NUM_ADDRESSES 3
#define LWIP_ND6_NUM_NEIGHBORS 32
#define LWIP_ND6_NUM_DESTINATIONS 32
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 0

/* ---- UDP ---- */
#define LWIP_UDP 1
#define SO_REUSE 1 /* for listeners only: connections of a former listener that still close do not keep its port */

/* ---- TCP ---- */
#define LWIP_TCP 1
#define TCP_MSS 1460             /* MTU 1500 less the IPv4 and TCP headers */
#define LWIP_WND_SCALE 1         /* RFC 7323: 64 KiB would cap a connection at 64 KiB per round trip */
#define TCP_RCV_SCALE 3          /* up to 512 KiB */
#define TCP_WND (256 * 1024)     /* received and not yet taken by the owner */
#define TCP_SND_BUF (256 * 1024) /* accepted and not yet acknowledged */
#define TCP_SND_QUEUELEN 1024    /* pbufs in the send queue: full MSS twice over, and many small writes */
#define TCP_SNDLOWAT (16 * 1024) /* "writable" is reported from here on */
#define TCP_SNDQUEUELOWAT 512
#define TCP_OVERSIZE TCP_MSS /* small writes fill one segment */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (256 * 1024) /* the window; more cannot be in it */
#define TCP_OOSEQ_MAX_PBUFS 384          /* a connection cannot hold all memory with tiny segments out of order */
#define LWIP_TCP_SACK_OUT 1              /* tell peers what arrived out of order, so that they need not send it again */
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0 /* without PAWS they would cost 12 bytes a segment and give nothing */
#define TCP_LISTEN_BACKLOG 1  /* handshakes under way are bounded for each listener */
#define TCP_DEFAULT_LISTEN_BACKLOG 255
#define TCP_TMR_INTERVAL 50    /* ms: retransmissions at 1, 3, 7 s as RFC 6298 wants; delayed ACK after 50 ms */
#define LWIP_TCP_RTO_TIME 1000 /* ms: RFC 6298, 2.1; lwIP's 3 s is the value of RFC 1122 */
#define TCP_MAXRTX 12          /* gives up after about nine minutes (RFC 9293, 3.8.3 asks for at least 100 s) */
#define TCP_SYNMAXRTX 6        /* SYNs at 0, 1, 3, 7, 15, 31 s (with our patch syn-backoff); given up at 63 s */
#define LWIP_TCP_KEEPALIVE 1   /* times of its own for each connection */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 0

/* ---- checksums: always made and always checked; the port says when a device has done it already ---- */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define CHECKSUM_GEN_IP 1
#define CHECKSUM_GEN_UDP 1
#define CHECKSUM_GEN_TCP 1
#define CHECKSUM_GEN_ICMP 1
#define CHECKSUM_GEN_ICMP6 1
#define CHECKSUM_CHECK_IP 1
#define CHECKSUM_CHECK_UDP 1
#define CHECKSUM_CHECK_TCP 1
#define CHECKSUM_CHECK_ICMP 1
#define CHECKSUM_CHECK_ICMP6 1
#define LWIP_CHECKSUM_ON_COPY 0

/* ---- pbufs ---- */
#define LWIP_SUPPORT_CUSTOM_PBUF 1 /* received payload stays in the port's memory: stack/pbuf-bridge */
#define LWIP_PBUF_REF_T u16_t

/* ---- statistics ---- */
#define LWIP_STATS 1 /* pool exhaustion and reassembly show in StackCounters */
#define LWIP_STATS_LARGE 1
#define MEMP_STATS 1
#define MEM_STATS 0 /* nexus_lwip_malloc counts */
#define SYS_STATS 0

/* ---- checks ---- */
/* LWIP_NOASSERT is never defined: a broken invariant aborts the process (arch/cc.h) and the supervisor starts it again.
 */
#define MEMP_OVERFLOW_CHECK 0
#define MEMP_SANITY_CHECK 0
