// Runs a fuzz target without libFuzzer: over every corpus file named on the command line, then over seeded mutations of
// them (and of the empty input), the same number each run. A crash is the failure; the seed and the round are printed
// first.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr size_t MAX_SIZE = 4096;

// The exactly sized heap copy is what lets ASan see a read past the end.
void runOne(const Input& input) {
  Input copy(input);
  copy.shrink_to_fit();
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

Input mutate(Input input, nexus::FixedEntropy& entropy) {
  for (uint64_t changes = 1 + entropy.next() % 4; changes > 0; changes--) {
    size_t at = input.empty() ? 0 : entropy.next() % input.size();
    switch (entropy.next() % 6) {
      case 0:
        if (!input.empty()) input[at] ^= 1 << entropy.next() % 8;
        break;
      case 1:
        if (!input.empty()) input[at] = entropy.next();
        break;
      case 2:
        if (!input.empty()) input.resize(at);
        break;
      case 3:
        if (input.size() < MAX_SIZE) input.insert(input.begin() + at, entropy.next());
        break;
      case 4:
        if (!input.empty()) input.erase(input.begin() + at);
        break;
      case 5:
        if (!input.empty()) input[at] = entropy.next() % 2 ? 0xff : 0;
        break;
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 20000, first = 1;
  if (argc > 1 && sscanf(argv[1], "--rounds=%d", &rounds) == 1) first++;
  std::vector<Input> corpus{{}};
  for (int i = first; i < argc; i++) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) return fprintf(stderr, "cannot read %s\n", argv[i]), 1;
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  for (auto& input : corpus) runOne(input);
  constexpr uint64_t SEED = 20261120;
  fprintf(stderr, "%zu inputs, seed %llu, %d rounds\n", corpus.size(), static_cast<unsigned long long>(SEED), rounds);
  nexus::FixedEntropy entropy(SEED);
  for (int round = 0; round < rounds; round++) runOne(mutate(corpus[entropy.next() % corpus.size()], entropy));
  return 0;
}
