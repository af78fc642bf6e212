// Writes the tiny model of every architecture: write_tiny_models FOLDER. Their reference logits,
// and an encoder's rows, are made from these files (tools/reference/make_architecture_logits.py,
// make_encoder_rows.py).
#include <cstdio>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_tiny_models FOLDER\n", stderr);
    return 2;
  }
  for (const auto& models : {mortar::TinyModelOfEveryArchitecture(), mortar::TinyEncoders()}) {
    for (const mortar::NamedTinyModel& model : models) {
      mortar::WriteTinyModel(model.options, std::string(argv[1]) + "/" + model.name + ".gguf");
    }
  }
  return 0;
}
