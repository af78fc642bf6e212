// Writes the sample messages as this version encodes them: write_wire_samples FOLDER. Run once
// for each released version of the protocol, into tests/data/wire/vN; never again for an old one.
#include <cstdio>
#include <fstream>

#include "tests/support/sample_messages.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_wire_samples FOLDER\n", stderr);
    return 2;
  }
  mortar::WireWriter writer;
  for (const mortar::SampleMessage& sample : mortar::SampleMessages()) {
    const auto words = writer.Write(sample.message.from, sample.message.to, sample.message.message);
    std::ofstream file(std::string(argv[1]) + "/" + sample.name + ".bin", std::ios::binary);
    file.write(reinterpret_cast<const char*>(words.data()),
               static_cast<std::streamsize>(words.size_bytes()));
    if (!file.flush()) {
      std::fprintf(stderr, "cannot write %s in %s\n", sample.name.c_str(), argv[1]);
      return 1;
    }
  }
  return 0;
}
