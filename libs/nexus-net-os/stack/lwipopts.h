#pragma once
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_IPV6 1
#define LWIP_DHCP 1
#define LWIP_IGMP 1
#define LWIP_DNS 0
#define LWIP_TIMERS 1
#define IPV6_FRAG_COPYHEADER 1
