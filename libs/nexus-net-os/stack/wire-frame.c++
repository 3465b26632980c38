#include "libs/nexus-net-os/stack/wire-frame.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

Bytes join(kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> tail) {
  auto result = kj::heapArray<kj::byte>(head.size() + tail.size());
  if (head.size() > 0) memcpy(result.begin(), head.begin(), head.size());
  if (tail.size() > 0) memcpy(result.begin() + head.size(), tail.begin(), tail.size());
  return result;
}

uint32_t pseudoSum(IpAddress source, IpAddress destination, kj::byte protocol, size_t length) {
  uint32_t sum = protocol + length;
  for (auto& address : {source, destination}) sum += (address.v4Value() >> 16) + (address.v4Value() & 0xffff);
  return sum;
}

}  // namespace

Bytes fromHex(kj::StringPtr hex) {
  kj::Vector<kj::byte> out;
  int high = -1;
  for (char c : hex) {
    if (c == ' ' || c == '\n') continue;
    int value = c >= 'a' ? c - 'a' + 10 : c - '0';
    KJ_REQUIRE(value >= 0 && value < 16, "not hex", hex);
    if (high < 0) {
      high = value;
    } else {
      out.add(high << 4 | value);
      high = -1;
    }
  }
  return out.releaseAsArray();
}

Bytes ethernetFrame(const MacAddress& to, const MacAddress& from, uint16_t type, kj::ArrayPtr<const kj::byte> payload) {
  kj::byte header[14];
  memcpy(header, to.bytes.data(), 6);
  memcpy(header + 6, from.bytes.data(), 6);
  putBe16(header, 12, type);
  return join(header, payload);
}

Bytes ipv4Packet(const Ipv4Fields& fields, kj::ArrayPtr<const kj::byte> payload) {
  kj::byte header[20] = {0x45};
  putBe16(header, 2, 20 + payload.size());
  putBe16(header, 4, fields.identification);
  putBe16(header, 6, fields.fragment);
  header[8] = fields.ttl;
  header[9] = fields.protocol;
  putBe32(header, 12, fields.source.v4Value());
  putBe32(header, 16, fields.destination.v4Value());
  putBe16(header, 10, internetChecksum(header));
  return join(header, payload);
}

Bytes arpPacket(uint16_t operation, const MacAddress& senderMac, IpAddress sender, const MacAddress& targetMac,
                IpAddress target) {
  auto packet = kj::heapArray<kj::byte>(28);
  putBe16(packet, 0, 1);
  putBe16(packet, 2, 0x0800);
  packet[4] = 6, packet[5] = 4;
  putBe16(packet, 6, operation);
  memcpy(packet.begin() + 8, senderMac.bytes.data(), 6);
  putBe32(packet, 14, sender.v4Value());
  memcpy(packet.begin() + 18, targetMac.bytes.data(), 6);
  putBe32(packet, 24, target.v4Value());
  return packet;
}

Bytes udpDatagram(IpAddress source, IpAddress destination, uint16_t sourcePort, uint16_t destinationPort,
                  kj::ArrayPtr<const kj::byte> payload) {
  kj::byte header[8];
  putBe16(header, 0, sourcePort);
  putBe16(header, 2, destinationPort);
  putBe16(header, 4, 8 + payload.size());
  putBe16(header, 6, 0);
  auto datagram = join(header, payload);
  uint16_t sum = internetChecksum(datagram, pseudoSum(source, destination, 17, datagram.size()));
  putBe16(datagram, 6, sum == 0 ? 0xffff : sum);
  return datagram;
}

Bytes icmpEcho(kj::byte type, uint16_t identifier, uint16_t sequence, kj::ArrayPtr<const kj::byte> payload) {
  kj::byte header[8] = {type};
  putBe16(header, 4, identifier);
  putBe16(header, 6, sequence);
  auto message = join(header, payload);
  putBe16(message, 2, internetChecksum(message));
  return message;
}

Bytes tcpSegment(IpAddress source, IpAddress destination, const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload,
                 kj::ArrayPtr<const kj::byte> options) {
  KJ_REQUIRE(options.size() % 4 == 0);
  kj::byte header[20] = {};
  putBe16(header, 0, fields.sourcePort);
  putBe16(header, 2, fields.destinationPort);
  putBe32(header, 4, fields.sequence);
  putBe32(header, 8, fields.acknowledgement);
  header[12] = (20 + options.size()) / 4 << 4;
  header[13] = fields.flags;
  putBe16(header, 14, fields.window);
  auto segment = join(join(header, options), payload);
  putBe16(segment, 16, internetChecksum(segment, pseudoSum(source, destination, 6, segment.size())));
  return segment;
}

WireFrame parseFrame(Bytes bytes) {
  WireFrame frame;
  frame.bytes = kj::mv(bytes);
  kj::ArrayPtr<const kj::byte> all = frame.bytes;
  KJ_REQUIRE(all.size() >= 14);
  frame.to = MacAddress::fromBytes(all.slice(0, 6));
  frame.from = MacAddress::fromBytes(all.slice(6, 12));
  frame.type = be16(all, 12);
  frame.packet = all.slice(14, all.size());
  frame.payload = frame.packet;
  if (frame.type != 0x0800) return frame;

  auto ip = frame.packet;
  size_t header = (ip[0] & 15) * 4;
  ip = ip.slice(0, be16(ip, 2));
  frame.checksumsRight = internetChecksum(ip.slice(0, header)) == 0;
  frame.source = IpAddress::v4(be32(ip, 12));
  frame.destination = IpAddress::v4(be32(ip, 16));
  frame.protocol = ip[9];
  frame.ttl = ip[8];
  frame.identification = be16(ip, 4);
  frame.fragment = be16(ip, 6);
  auto transport = ip.slice(header, ip.size());
  frame.payload = transport;
  if (frame.fragment & 0x3fff) return frame;
  if (frame.protocol == 1 || frame.protocol == 2) {
    frame.checksumsRight = frame.checksumsRight && internetChecksum(transport) == 0;
    return frame;
  }
  if (frame.protocol != 6 && frame.protocol != 17) return frame;
  uint32_t pseudo = pseudoSum(frame.source, frame.destination, frame.protocol, transport.size());
  frame.checksumsRight = frame.checksumsRight && internetChecksum(transport, pseudo) == 0;
  frame.sourcePort = be16(transport, 0);
  frame.destinationPort = be16(transport, 2);
  if (frame.protocol == 17) {
    frame.payload = transport.slice(8, transport.size());
    return frame;
  }
  size_t tcpHeader = (transport[12] >> 4) * 4;
  frame.tcp = {frame.sourcePort,   frame.destinationPort, be32(transport, 4),
               be32(transport, 8), transport[13],         be16(transport, 14)};
  frame.options = transport.slice(20, tcpHeader);
  frame.payload = transport.slice(tcpHeader, transport.size());
  return frame;
}

}  // namespace nexus
