#include "libs/nexus-net-os/stack/frame-samples.h"

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using V = FilterVerdict;
constexpr MacAddress OWN{{0x52, 0x54, 0x00, 0x12, 0x34, 0x0a}}, OTHER{{0x52, 0x54, 0x00, 0x12, 0x34, 0x0b}};
constexpr MacAddress ALL{{255, 255, 255, 255, 255, 255}};
constexpr IpAddress NODE = IpAddress::v4(10, 42, 0, 10), PEER = IpAddress::v4(10, 42, 0, 11);
constexpr char NODE6[] = "fe80000000000000505400fffe12340a", PEER6[] = "fe80000000000000505400fffe12340b";
constexpr char SOLICITED[] = "ff0200000000000000000001ff12340a", NODES[] = "ff020000000000000000000000000001";
constexpr char UNSPECIFIED[] = "00000000000000000000000000000000";

class Samples {
 public:
  kj::Vector<FrameSample> list;

  void add(kj::StringPtr name, V verdict, Bytes frame) { list.add(FrameSample{name, verdict, kj::mv(frame)}); }

  void ip4(kj::StringPtr name, V verdict, Ipv4Fields fields, kj::ArrayPtr<const kj::byte> payload,
           const MacAddress& to = OWN) {
    add(name, verdict, ethernetFrame(to, OTHER, 0x0800, ipv4Packet(fields, payload)));
  }

  // An IPv4 frame changed at an offset of its packet, with the header's checksum made right again.
  void patched(kj::StringPtr name, V verdict, kj::ArrayPtr<const kj::byte> packet, size_t at, kj::byte value) {
    auto changed = kj::heapArray<kj::byte>(packet);
    changed[at] = value;
    size_t header = kj::min((changed[0] & 15) * size_t(4), changed.size());
    if (header >= 20) {
      putBe16(changed, 10, 0);
      putBe16(changed, 10, internetChecksum(changed.slice(0, header)));
    }
    add(name, verdict, ethernetFrame(OWN, OTHER, 0x0800, changed));
  }

  void ip6(kj::StringPtr name, V verdict, kj::byte next, kj::ArrayPtr<const kj::byte> payload,
           kj::StringPtr source = PEER6, kj::StringPtr destination = NODE6, kj::byte hops = 255,
           const MacAddress& to = OWN) {
    auto packet = kj::heapArray<kj::byte>(40 + payload.size());
    memset(packet.begin(), 0, packet.size());
    packet[0] = 0x60;
    putBe16(packet, 4, payload.size());
    packet[6] = next;
    packet[7] = hops;
    auto s = fromHex(source), d = fromHex(destination);
    memcpy(packet.begin() + 8, s.begin(), 16);
    memcpy(packet.begin() + 24, d.begin(), 16);
    if (payload.size() > 0) memcpy(packet.begin() + 40, payload.begin(), payload.size());
    add(name, verdict, ethernetFrame(to, OTHER, 0x86dd, packet));
  }

  // A neighbour discovery message: type, flags, target, options.
  Bytes neighbour(kj::byte type, kj::byte flags, kj::StringPtr options, kj::StringPtr target = NODE6) {
    return fromHex(kj::str(hex2(type), "000000", hex2(flags), "000000", target, options));
  }
  static kj::String hex2(kj::byte b) { return kj::str(b < 16 ? "0" : "", kj::hex(b)); }
};

void ethernet(Samples& s) {
  auto arp = arpPacket(1, OTHER, PEER, {}, NODE);
  s.add("nothing", V::Truncated, Bytes());
  s.add("half an Ethernet header", V::Truncated, fromHex("5254 0012 340a 52"));
  s.add("Ethernet header only", V::UnknownType, ethernetFrame(OWN, OTHER, 0x88cc, nullptr));
  s.add("own frame reflected by a hub", V::Reflected, ethernetFrame(ALL, OWN, 0x0806, arp));
  s.add("group address as source", V::BadSourceMac, ethernetFrame(OWN, ALL, 0x0806, arp));
  s.add("for another MAC", V::ForeignMac, ethernetFrame({{2, 0, 0, 0, 0, 9}}, OTHER, 0x0806, arp));
  s.add("VLAN tag", V::UnknownType, ethernetFrame(OWN, OTHER, 0x8100, arp));
  s.add("length instead of type", V::UnknownType, ethernetFrame(OWN, OTHER, 0x0020, arp));
  auto jumbo = kj::heapArray<kj::byte>(1600);
  memset(jumbo.begin(), 0, jumbo.size());
  s.ip4("longer than the MTU", V::Oversized, {PEER, NODE, 17}, udpDatagram(PEER, NODE, 7, 5000, jumbo));
  s.ip4("a large TCP segment that the device put together", V::Pass, {PEER, NODE, 6},
        tcpSegment(PEER, NODE, {80, 5000, 1, 1, TcpFields::ACK}, jumbo));
}

void arp(Samples& s) {
  auto add = [&](kj::StringPtr name, V verdict, Bytes packet) {
    s.add(name, verdict, ethernetFrame(ALL, OTHER, 0x0806, packet));
  };
  add("ARP request", V::Pass, arpPacket(1, OTHER, PEER, {}, NODE));
  add("ARP reply", V::Pass, arpPacket(2, OTHER, PEER, OWN, NODE));
  add("ARP probe", V::Pass, arpPacket(1, OTHER, IpAddress::v4(0), {}, NODE));
  add("ARP cut off", V::Truncated, kj::heapArray<kj::byte>(arpPacket(1, OTHER, PEER, {}, NODE).slice(0, 27)));
  add("ARP operation 3", V::BadArp, arpPacket(3, OTHER, PEER, {}, NODE));
  add("ARP that claims our address", V::BadArp, arpPacket(2, OTHER, NODE, OWN, NODE));
  add("ARP with our MAC as sender", V::BadArp, arpPacket(2, OWN, PEER, OWN, NODE));
  add("ARP with a group MAC as sender", V::BadArp, arpPacket(2, ALL, PEER, OWN, NODE));
  add("ARP for a multicast sender", V::BadArp, arpPacket(2, OTHER, IpAddress::v4(239, 0, 0, 1), OWN, NODE));
  add("ARP for the broadcast address", V::BadArp, arpPacket(2, OTHER, IpAddress::v4(10, 42, 0, 255), OWN, NODE));
  add("ARP for loopback", V::BadArp, arpPacket(2, OTHER, IpAddress::v4(127, 0, 0, 1), OWN, NODE));
  auto wrong = arpPacket(1, OTHER, PEER, {}, NODE);
  wrong[5] = 16;
  add("ARP with a long protocol address", V::BadArp, kj::mv(wrong));
}

void ipv4(Samples& s) {
  auto udp = [](IpAddress from, IpAddress to) { return udpDatagram(from, to, 7, 5000, bytesOf("payload")); };
  auto from = [&](kj::StringPtr name, V verdict, IpAddress source, IpAddress destination = NODE) {
    s.ip4(name, verdict, {source, destination, 17}, udp(source, destination));
  };
  from("UDP", V::Pass, PEER);
  from("source 127.0.0.1", V::Martian, IpAddress::v4(127, 0, 0, 1));
  from("source multicast", V::Martian, IpAddress::v4(224, 0, 0, 5));
  from("source class E", V::Martian, IpAddress::v4(250, 0, 0, 5));
  from("source limited broadcast", V::Martian, IpAddress::v4(255, 255, 255, 255));
  from("source subnet broadcast", V::Martian, IpAddress::v4(10, 42, 0, 255));
  from("source network address", V::Martian, IpAddress::v4(10, 42, 0, 0));
  from("source unspecified", V::Martian, IpAddress::v4(0));
  from("source 0.1.2.3", V::Martian, IpAddress::v4(0, 1, 2, 3));
  from("LAND: source is ourselves", V::Land, NODE);
  from("destination loopback", V::LoopbackDestination, PEER, IpAddress::v4(127, 0, 0, 1));
  from("destination unspecified", V::Martian, PEER, IpAddress::v4(0));
  from("destination another host", V::Pass, PEER, IpAddress::v4(10, 42, 0, 99));  // lwIP drops it
  s.ip4("DHCP request of another host", V::Pass, {IpAddress::v4(0), IpAddress::v4(255, 255, 255, 255), 17},
        udp(IpAddress::v4(0), IpAddress::v4(255, 255, 255, 255)), ALL);
  s.ip4("IGMP query without source", V::Pass, {IpAddress::v4(0), IpAddress::v4(224, 0, 0, 1), 2},
        fromHex("1164ee9b00000000"), {{1, 0, 0x5e, 0, 0, 1}});
  auto tcp = tcpSegment(PEER, NODE, {80, 5000, 1, 1, TcpFields::SYN}, nullptr);
  s.ip4("TCP", V::Pass, {PEER, NODE, 6}, tcp);
  s.ip4("TCP in a link broadcast", V::LinkBroadcast, {PEER, NODE, 6}, tcp, ALL);
  s.ip4("ICMP for a unicast address in a link broadcast", V::LinkBroadcast, {PEER, NODE, 1}, icmpEcho(8, 1, 1, nullptr),
        ALL);
  s.ip4("UDP for a unicast address in a link broadcast", V::Pass, {PEER, NODE, 17}, udp(PEER, NODE), ALL);
  s.ip4("ICMP cut off", V::Truncated, {PEER, NODE, 1}, fromHex("0800f7ff"));

  auto packet = ipv4Packet({PEER, NODE, 17}, udp(PEER, NODE));
  s.patched("version 5", V::BadLength, packet, 0, 0x55);
  s.patched("header of 16 bytes", V::BadLength, packet, 0, 0x44);
  s.patched("header longer than the packet", V::BadLength, packet, 0, 0x4f);
  s.patched("total length shorter than the header", V::BadLength, packet, 3, 19);
  s.patched("total length beyond the frame", V::BadLength, packet, 2, 1);
  s.patched("UDP length beyond the packet", V::BadLength, packet, 20 + 5, 16);
  s.patched("UDP length below its header", V::BadLength, packet, 20 + 5, 7);
  s.patched("UDP length zero", V::BadLength, packet, 20 + 5, 0);
  s.patched("UDP shorter than its packet", V::Pass, packet, 20 + 5, 10);  // and cut: looked at by the test
  s.patched("UDP without room for its header", V::Truncated, packet, 3, 27);
  auto damaged = kj::heapArray<kj::byte>(packet.asPtr());
  damaged[10] ^= 1;
  s.add("header checksum wrong", V::BadLength, ethernetFrame(OWN, OTHER, 0x0800, damaged));
  s.add("IPv4 header cut off", V::Truncated, ethernetFrame(OWN, OTHER, 0x0800, packet.slice(0, 19)));
  auto segment = ipv4Packet({PEER, NODE, 6}, tcp);
  s.patched("TCP header of 16 bytes", V::BadLength, segment, 20 + 12, 0x40);
  s.patched("TCP header beyond the packet", V::BadLength, segment, 20 + 12, 0xf0);
  s.patched("TCP cut off", V::Truncated, segment, 3, 39);
}

void fragments(Samples& s) {
  auto data = kj::heapArray<kj::byte>(64);
  memset(data.begin(), 1, data.size());
  auto add = [&](kj::StringPtr name, V verdict, uint16_t field, size_t size, kj::byte protocol = 17) {
    Ipv4Fields fields{PEER, NODE, protocol};
    fields.fragment = field;
    s.ip4(name, verdict, fields, data.slice(0, size));
  };
  add("first fragment", V::Pass, 0x2000, 64);
  add("last fragment", V::Pass, 8, 13);
  add("fragment of odd length in the middle", V::BadFragment, 0x2008, 13);
  add("fragment of nothing", V::BadFragment, 0x2008, 0);
  add("ping of death", V::BadFragment, 0x1fff, 64, 1);
  add("tiny first TCP fragment", V::BadFragment, 0x2000, 16, 6);
  add("fragment over a TCP header", V::BadFragment, 0x2001, 64, 6);
}

void ipv6(Samples& s) {
  auto udp = fromHex("00071388000c1234 61626364");
  s.ip6("UDP over IPv6", V::Pass, 17, udp);
  s.ip6("UDP over IPv6 without checksum", V::ZeroChecksum, 17, fromHex("00071388000c0000 61626364"));
  s.ip6("UDP over IPv6, length beyond the packet", V::BadLength, 17, fromHex("00071388000d1234 61626364"));
  s.ip6("UDP over IPv6, length zero", V::BadLength, 17, fromHex("0007138800001234 61626364"));
  s.ip6("UDP over IPv6 cut off", V::Truncated, 17, fromHex("00071388"));
  s.ip6("source multicast", V::Martian, 17, udp, NODES);
  s.ip6("source loopback", V::Martian, 17, udp, "00000000000000000000000000000001");
  s.ip6("source IPv4-mapped", V::Martian, 17, udp, "00000000000000000000ffff0a2a000b");
  s.ip6("source unspecified", V::Martian, 17, udp, UNSPECIFIED);
  s.ip6("source is ourselves", V::Land, 17, udp, NODE6);
  s.ip6("destination loopback", V::LoopbackDestination, 17, udp, PEER6, "00000000000000000000000000000001");
  s.ip6("destination unspecified", V::Martian, 17, udp, PEER6, UNSPECIFIED);
  s.ip6("TCP in a link broadcast", V::LinkBroadcast, 6, fromHex("0050005000000000 0000000050020000 00000000"), PEER6,
        NODES, 64, {{0x33, 0x33, 0, 0, 0, 1}});
  s.ip6("TCP cut off", V::Truncated, 6, fromHex("00500050"));
  s.ip6("nothing behind the header", V::Pass, 59, nullptr);
  s.ip6("options before UDP", V::Pass, 60, fromHex("1100 010400000000 00071388000c1234 61626364"));
  s.ip6("options that end beyond the packet", V::BadLength, 60, fromHex("1109 010400000000"));
  s.ip6("options cut off", V::Truncated, 60, fromHex("1100"));
  s.ip6("hop-by-hop in second place", V::BadLength, 60, fromHex("0000 010400000000 1100 010400000000"));
  s.ip6("routing header type 0", V::SourceRoute, 43, fromHex("1102 0001 00000000 fe80000000000000 505400fffe12340b"));
  Bytes chain = kj::heapArray<kj::byte>(8 * 12);
  for (size_t i = 0; i < chain.size(); ++i) chain[i] = i % 8 == 0 ? 60 : 0;
  s.ip6("headers without end", V::BadLength, 60, chain);
  s.ip6("fragment", V::Pass, 44, fromHex("1100000112345678 00071388000c1234"));
  s.ip6("fragment header cut off", V::Truncated, 44, fromHex("11000001"));
  s.ip6("fragment of odd length in the middle", V::BadFragment, 44, fromHex("1100000112345678 0007138800"));
  s.ip6("fragment beyond 65535", V::BadFragment, 44, fromHex("1100fff812345678 00071388000c1234 0011223344556677"));
  s.ip6("fragmented neighbour discovery", V::BadNeighbour, 44, fromHex("3a00000112345678 8700000000000000"));
  s.ip6("first fragment without a TCP header", V::BadFragment, 44, fromHex("0600000112345678 0050005000000000"));
  auto whole = ethernetFrame(OWN, OTHER, 0x86dd, fromHex("6000000000083a40"));
  s.add("IPv6 header cut off", V::Truncated, kj::mv(whole));
}

void neighbours(Samples& s) {
  constexpr char OPTION[] = "010152540012340b", TARGET_OPTION[] = "020152540012340b";
  auto add = [&](kj::StringPtr name, V verdict, kj::byte type, kj::byte flags, kj::StringPtr options,
                 kj::StringPtr source = PEER6, kj::StringPtr destination = NODE6, kj::byte hops = 255,
                 kj::StringPtr target = NODE6) {
    s.ip6(name, verdict, 58, s.neighbour(type, flags, options, target), source, destination, hops);
  };
  add("neighbour solicitation", V::Pass, 135, 0, OPTION);
  add("solicitation of duplicate detection", V::Pass, 135, 0, "", UNSPECIFIED, SOLICITED);
  add("solicitation from :: with an address option", V::BadNeighbour, 135, 0, OPTION, UNSPECIFIED, SOLICITED);
  add("solicitation from :: to a unicast address", V::BadNeighbour, 135, 0, "", UNSPECIFIED, NODE6);
  add("solicitation for a multicast target", V::BadNeighbour, 135, 0, OPTION, PEER6, NODE6, 255, NODES);
  add("solicitation that was routed", V::BadNeighbour, 135, 0, OPTION, PEER6, NODE6, 254);
  add("option of length zero", V::BadNeighbour, 135, 0, "010052540012340b");
  add("option beyond the packet", V::BadNeighbour, 135, 0, "010252540012340b");
  add("half an option", V::BadNeighbour, 135, 0, "01");
  add("advertisement", V::Pass, 136, 0x60, TARGET_OPTION);
  add("advertisement with an option of length zero", V::BadNeighbour, 136, 0x60, "0200");
  add("solicited advertisement to a group", V::BadNeighbour, 136, 0x40, TARGET_OPTION, PEER6, NODES);
  add("unsolicited advertisement to a group", V::Pass, 136, 0x20, TARGET_OPTION, PEER6, NODES);
  s.ip6("solicitation cut off", V::BadNeighbour, 58, fromHex("8700000000000000 fe800000"));
  s.ip6("ICMPv6 cut off", V::Truncated, 58, fromHex("870000"));
  s.ip6("router advertisement", V::Pass, 58, fromHex("8600000040000708 0000000000000000 05010000000005dc"));
  s.ip6("router advertisement from afar", V::BadNeighbour, 58, fromHex("8600000040000708 0000000000000000"),
        "20010db8000000000000000000000001");
  s.ip6("MTU option of the wrong length", V::BadNeighbour, 58,
        fromHex("8600000040000708 0000000000000000 05020000000005dc 0000000000000000"));
  s.ip6("prefix option of the wrong length", V::BadNeighbour, 58,
        fromHex("8600000040000708 0000000000000000 030140c000000000"));
  s.ip6("router solicitation", V::Pass, 58, fromHex("8500000000000000"), UNSPECIFIED, NODES);
  auto quote = [&](kj::StringPtr mtu) {
    return fromHex(kj::str("02000000", mtu, "60000000", "00080640", NODE6, PEER6, "1388005000000000"));
  };
  s.ip6("Packet Too Big 1280", V::Pass, 58, quote("00000500"), PEER6, NODE6, 64);
  s.ip6("Packet Too Big 1279", V::BadPacketTooBig, 58, quote("000004ff"), PEER6, NODE6, 64);
  s.ip6("Packet Too Big 0", V::BadPacketTooBig, 58, quote("00000000"), PEER6, NODE6, 64);
  s.ip6("Packet Too Big without a quote", V::BadPacketTooBig, 58, fromHex("0200000000000500 60000000"), PEER6, NODE6,
        64);
}

}  // namespace

FilterView sampleView() {
  FilterView view;
  view.mac = OWN;
  view.ipv4 = NODE.v4Value();
  view.prefixLength = 24;
  auto own = fromHex(NODE6);
  memcpy(view.ipv6[0].data(), own.begin(), 16);
  view.ipv6Count = 1;
  return view;
}

kj::Vector<FrameSample> frameSamples() {
  Samples s;
  ethernet(s);
  arp(s);
  ipv4(s);
  fragments(s);
  ipv6(s);
  neighbours(s);
  return kj::mv(s.list);
}

}  // namespace nexus
