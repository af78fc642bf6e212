// Writes the tiny model of every architecture: write_tiny_models FOLDER. Their reference logits
// are made from these files (tools/reference/make_architecture_logits.py).
#include <cstdio>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_tiny_models FOLDER\n", stderr);
    return 2;
  }
  for (const mortar::NamedTinyModel& model : mortar::TinyModelOfEveryArchitecture()) {
    mortar::WriteTinyModel(model.options, std::string(argv[1]) + "/" + model.name + ".gguf");
  }
  return 0;
}
