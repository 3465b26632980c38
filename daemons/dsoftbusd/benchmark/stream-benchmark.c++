// How fast a stream of a session is: the same bytes through a mux stream and through the transport below it, in one
// run, beside the speed of ChaCha20-Poly1305 on this machine. Each node has its thread, and over netstackd a stack in a
// process of its own.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sodium.h>

#include <cstdio>

#include "daemons/dsoftbusd/benchmark/benchmark-support.h"
#include "daemons/dsoftbusd/benchmark/two-stacks-link.h"

namespace nexus {
namespace {

constexpr size_t BULK_BYTES = 64 << 20;
constexpr size_t WRITE_BYTES = 256 << 10, READ_BYTES = 256 << 10;
constexpr int RUNS = 5;
constexpr double LEAST_SHARE = 0.8;  // of the slower of transport and cipher, by processor time

// Seconds until the other end has read everything and said so.
void sendAll(kj::AsyncIoContext& io, kj::AsyncIoStream& stream) {
  auto block = kj::heapArray<kj::byte>(WRITE_BYTES);
  for (size_t i = 0; i < block.size(); i++) block[i] = i * 31 + i / 253;
  for (size_t sent = 0; sent < BULK_BYTES; sent += block.size()) {
    stream.write(block.begin(), block.size()).wait(io.waitScope);
  }
  stream.shutdownWrite();
  CHECK(stream.readAllText().wait(io.waitScope) == "!");
}

void receiveAll(kj::AsyncIoContext& io, kj::AsyncIoStream& stream) {
  auto block = kj::heapArray<kj::byte>(READ_BYTES);
  size_t got = 0;
  while (size_t n = stream.tryRead(block.begin(), 1, block.size()).wait(io.waitScope)) got += n;
  KJ_ASSERT(got == BULK_BYTES, got);
  stream.write("!", 1).wait(io.waitScope);
  stream.shutdownWrite();
}

using Work = void (*)(kj::AsyncIoContext&, kj::Own<kj::AsyncIoStream>, double& wall, double& cpu);

void sendRaw(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream, double& wall, double& cpu) {
  cpu = cpuSecondsOf([&] { wall = secondsOf([&] { sendAll(io, *stream); }); });
}

void receiveRaw(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream, double& wall, double& cpu) {
  cpu = cpuSecondsOf([&] { receiveAll(io, *stream); });
  stream->readAllBytes().wait(io.waitScope);
}

void sendStream(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport, double& wall, double& cpu) {
  OpenDoor door;
  auto live = startSession(io, kj::mv(transport), MuxRole::INITIATOR, door);
  auto opened = live.session->mux().open("bulk", 4);
  auto stream = kj::mv(opened.get<kj::Own<MuxStream>>());
  cpu = cpuSecondsOf([&] { wall = secondsOf([&] { sendAll(io, *stream); }); });
  live.session->close(CloseReason::SHUTDOWN, kj::str("done"));
  live.running.wait(io.waitScope);
}

void receiveStream(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport, double& wall, double& cpu) {
  OpenDoor door;
  auto live = startSession(io, kj::mv(transport), MuxRole::RESPONDER, door);
  auto stream = live.session->mux().accept().wait(io.waitScope);
  cpu = cpuSecondsOf([&] { receiveAll(io, *stream); });
  live.running.wait(io.waitScope);
}

Effort transfer(Link& link, Work sender, Work receiver) {
  Effort effort;
  double unused = 0;
  auto before = link.ownCpuSeconds();
  runPair(
      link,
      [&](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) {
        sender(io, kj::mv(stream), effort.wall, effort.near);
      },
      [&](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) {
        receiver(io, kj::mv(stream), unused, effort.far);
      });
  effort.stacks = link.ownCpuSeconds();
  for (size_t i = 0; i < effort.stacks.size(); i++) effort.stacks[i] -= before[i];
  return effort;
}

// One thread that seals full records, again and again in the cache.
Effort cipher() {
  constexpr size_t RECORD = 32768;
  auto plain = kj::heapArray<kj::byte>(RECORD), sealed = kj::heapArray<kj::byte>(RECORD + 16);
  memset(plain.begin(), 1, plain.size());
  kj::byte key[32] = {1}, nonce[12] = {};
  Effort effort;
  effort.near = cpuSecondsOf([&] {
    effort.wall = secondsOf([&] {
      for (size_t done = 0; done < BULK_BYTES; done += RECORD) {
        nonce[0]++;
        crypto_aead_chacha20poly1305_ietf_encrypt(sealed.begin(), nullptr, plain.begin(), plain.size(), nullptr, 0,
                                                  nullptr, nonce, key);
      }
    });
  });
  return effort;
}

struct Figures {
  kj::Vector<double> wall, cost;  // MB/s by the wall; MB/s that the busiest core could do
  void add(const Effort& effort) {
    wall.add(BULK_BYTES / 1e6 / effort.wall);
    cost.add(BULK_BYTES / 1e6 / effort.busiest());
  }
};

void printCosts(const char* whose, const Effort& effort) {
  double gigabytes = BULK_BYTES / 1e9;
  printf("%-22s s/GB of the %s: sender %.2f, receiver %.2f", "", whose, effort.near / gigabytes,
         effort.far / gigabytes);
  if (effort.stacks.size() == 2) {
    printf(", its stack %.2f, the receiver's %.2f", effort.stacks[0] / gigabytes, effort.stacks[1] / gigabytes);
  }
  printf("\n");
}

void measure(Link& link) {
  Figures raw, seal, stream;
  Effort lastRaw, last;
  for (int run = 0; run < RUNS; run++) {
    raw.add(lastRaw = transfer(link, sendRaw, receiveRaw));
    seal.add(cipher());
    stream.add(last = transfer(link, sendStream, receiveStream));
  }
  auto row = [&](const char* how, const Spread& r, const Spread& c, const Spread& s) {
    double share = s.median / kj::min(r.median, c.median);
    printf("%-22s %-9s %26s %26s %26s %6.2f\n", link.name().cStr(), how, kj::str(r).cStr(), kj::str(c).cStr(),
           kj::str(s).cStr(), share);
    return share;
  };
  row("wall", Spread::of(raw.wall), Spread::of(seal.wall), Spread::of(stream.wall));
  double share = row("processor", Spread::of(raw.cost), Spread::of(seal.cost), Spread::of(stream.cost));
  printCosts("transport", lastRaw);
  printCosts("stream", last);
  CHECK(isMet(share >= LEAST_SHARE, kj::str("a share of at least ", LEAST_SHARE)));
}

void printHead() {
  KJ_ASSERT(sodium_init() >= 0);
  printf("MB/s, median (least-most) of %d runs of %zu MiB; processor: of the busiest of the ends and stacks\n", RUNS,
         BULK_BYTES >> 20);
  printf("%-22s %-9s %26s %26s %26s %6s\n", "", "", "transport", "cipher", "stream", "share");
}

TEST_CASE("a stream has at least 0.8 of the speed of kernel TCP or of the cipher, whichever is slower") {
  printHead();
  measure(*newKernelTcpLink());
}

TEST_CASE("the same over a socketpair") {
  printHead();
  measure(*newSocketPairLink());
}

TEST_CASE("the same over netstackd's TCP through its calls") {
  printHead();
  measure(*newTwoStacksLink(Bytes::CALLS));
}

TEST_CASE("the same over netstackd's TCP through its descriptors") {
  printHead();
  measure(*newTwoStacksLink(Bytes::DESCRIPTOR));
}

}  // namespace
}  // namespace nexus
