#include "tests/support/split_model.h"

#include <cstdio>

namespace mortar {
namespace {

constexpr uint32_t kUint16 = 2;  // GGUF's number of the type that split.no and split.count have

void AddUint16(const char* name, int value, GgufWriter& writer) {
  std::vector<uint8_t> bytes;
  AppendNumber(static_cast<uint16_t>(value), bytes);
  writer.AddRaw(name, kUint16, bytes);
}

}  // namespace

std::vector<GgufWriter> SplitModel(const GgufWriter& whole, int n_files) {
  std::vector<GgufWriter> files(static_cast<size_t>(n_files));
  const auto share = static_cast<ptrdiff_t>(whole.tensors.size()) / n_files;
  for (int no = 0; no < n_files; ++no) {
    GgufWriter& file = files[static_cast<size_t>(no)];
    if (no == 0) file.keys = whole.keys;
    AddUint16("split.no", no, file);
    AddUint16("split.count", n_files, file);
    file.AddInt32("split.tensors.count", static_cast<int32_t>(whole.tensors.size()));
    const auto begin = whole.tensors.begin() + no * share;
    file.tensors.assign(begin, no + 1 == n_files ? whole.tensors.end() : begin + share);
  }
  return files;
}

std::string SplitPath(const std::string& stem, int no, int n_files) {
  char ending[32];
  std::snprintf(ending, sizeof ending, "-%05d-of-%05d.gguf", no + 1, n_files);
  return stem + ending;
}

}  // namespace mortar
