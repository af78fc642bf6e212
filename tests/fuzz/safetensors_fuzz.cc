// Goal: no bytes can crash the reader of safetensors files; what it lists lies inside the file.
//
// Input: a file. One that is no file is read a second time as a header, with a length in front and
// a little data behind, so that the search does not have to find the eight bytes.
#include <cstdint>
#include <cstring>
#include <string>

#include "common/check.h"
#include "engine/hf/safetensors.h"

namespace {

bool Read(std::string_view bytes) {
  const auto tensors =
      mortar::ParseSafetensors({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (!tensors.ok()) return false;
  for (const mortar::SafeTensor& tensor : *tensors) {
    CHECK(tensor.offset <= bytes.size() && tensor.bytes <= bytes.size() - tensor.offset);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (Read(bytes)) return 0;
  const uint64_t n = size;
  std::string file(sizeof(n), '\0');
  std::memcpy(file.data(), &n, sizeof(n));
  Read(file + bytes + std::string(64, 'x'));
  return 0;
}
