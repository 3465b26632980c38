#include "tools/vmtest/host-peers.h"

#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"
#include "tools/vmtest/dns-answer.h"

namespace nexus::vmtest {

namespace {

constexpr size_t CHUNK = 65536;

// One connection: reads and writes that give up after IDLE_MAX.
class Conversation {
 public:
  Conversation(kj::Timer& timer, kj::Own<kj::AsyncIoStream> stream) : timer(timer), stream(kj::mv(stream)) {}

  kj::Promise<void> run() {
    auto line = co_await readLine();
    auto request = parseHostPeerRequest(line);
    KJ_IF_MAYBE (r, request) {
      KJ_SWITCH_ONEOF(*r) {
        KJ_CASE_ONEOF(echo, HostPeerEcho) co_await serveEcho();
        KJ_CASE_ONEOF(sink, HostPeerSink) co_await serveSink(sink.bytes);
        KJ_CASE_ONEOF(source, HostPeerSource) co_await serveSource(source.bytes);
      }
    } else {
      auto text = kj::str("error not a request\n");
      co_await write(text.asBytes());
    }
    stream->shutdownWrite();
  }

 private:
  kj::Promise<size_t> read(kj::ArrayPtr<kj::byte> buffer) {
    return timer.timeoutAfter(HostPeers::IDLE_MAX, stream->tryRead(buffer.begin(), 1, buffer.size()));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes) {
    return timer.timeoutAfter(HostPeers::IDLE_MAX, stream->write(bytes.begin(), bytes.size()));
  }

  // Byte by byte: what follows the line belongs to the request's body.
  kj::Promise<kj::String> readLine() {
    kj::Vector<char> line;
    kj::byte b;
    while (line.size() < HOST_PEER_LINE_MAX && (co_await read(kj::arrayPtr(&b, 1))) == 1 && b != '\n')
      line.add(char(b));
    co_return kj::heapString(line);
  }

  kj::Promise<void> serveEcho() {
    auto buffer = kj::heapArray<kj::byte>(CHUNK);
    for (uint64_t total = 0; total < HOST_PEER_BYTES_MAX;) {
      size_t n = co_await read(buffer);
      if (n == 0) break;
      co_await write(buffer.slice(0, n));
      total += n;
    }
  }

  kj::Promise<void> serveSink(uint64_t bytes) {
    auto buffer = kj::heapArray<kj::byte>(CHUNK);
    HostPeerChecksum checksum;
    uint64_t total = 0;
    while (total < bytes) {
      size_t n = co_await read(buffer.slice(0, size_t(kj::min(bytes - total, uint64_t(CHUNK)))));
      if (n == 0) break;
      checksum.add(buffer.slice(0, n));
      total += n;
    }
    auto answer = kj::str(hostPeerSinkAnswer(total, checksum.value()), '\n');
    co_await write(answer.asBytes());
  }

  kj::Promise<void> serveSource(uint64_t bytes) {
    auto buffer = kj::heapArray<kj::byte>(CHUNK);
    for (uint64_t offset = 0; offset < bytes;) {
      auto part = buffer.slice(0, size_t(kj::min(bytes - offset, uint64_t(CHUNK))));
      fillHostPeerPattern(offset, part);
      co_await write(part);
      offset += part.size();
    }
  }

  kj::Timer& timer;
  kj::Own<kj::AsyncIoStream> stream;
};

}  // namespace

kj::Promise<kj::Own<HostPeers>> HostPeers::start(kj::Network& network, kj::Timer& timer) {
  auto address = co_await network.parseAddress("127.0.0.1", 0);
  co_return kj::heap<HostPeers>(timer, address->bindDatagramPort(), address->listen());
}

HostPeers::HostPeers(kj::Timer& timer, kj::Own<kj::DatagramPort> dns, kj::Own<kj::ConnectionReceiver> tcp)
    : timer(timer), dns(kj::mv(dns)), tcp(kj::mv(tcp)), tasks(*this) {
  tasks.add(dnsLoop());
  tasks.add(acceptLoop());
}

kj::Promise<void> HostPeers::dnsLoop() {
  auto receiver = dns->makeReceiver();
  for (;;) {
    co_await receiver->receive();
    auto content = receiver->getContent();
    if (content.isTruncated) continue;
    auto reply = answerDns(content.value);
    KJ_IF_MAYBE (bytes, reply) {
      co_await dns->send(bytes->begin(), bytes->size(), receiver->getSource()).ignoreResult();
      dnsAnswers++;
    }
  }
}

kj::Promise<void> HostPeers::acceptLoop() {
  for (;;) {
    auto stream = co_await tcp->accept();
    if (connections >= CONNECTIONS_MAX) {
      refusedConnections++;
      continue;
    }
    tasks.add(serve(kj::mv(stream)));
  }
}

kj::Promise<void> HostPeers::serve(kj::Own<kj::AsyncIoStream> stream) {
  connections++;
  KJ_DEFER(connections--);
  Conversation conversation(timer, kj::mv(stream));
  co_await conversation.run();
}

}  // namespace nexus::vmtest
