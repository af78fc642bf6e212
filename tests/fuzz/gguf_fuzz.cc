// Goal: no bytes make the GGUF reader crash, read outside them, or allocate much more than they
// take; and whatever it accepts keeps the promises of gguf.h.
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>

#include "common/check.h"
#include "engine/gguf/gguf.h"

namespace mortar {
namespace {

void CheckMessage(const absl::Status& status) {
  const std::string message = Message(status);
  CHECK(message.starts_with("fuzz.gguf: "));
  CHECK(message.find('\n') == std::string::npos);
}

template <typename T>
void CheckRead(const absl::StatusOr<T>& value) {
  if (!value.ok()) CheckMessage(value.status());
}

// Every typed read of every key gives a value or one line.
void ReadMetadata(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    CheckRead(file.GetUint32(key));
    CheckRead(file.GetFloat(key));
    CheckRead(file.GetBool(key));
    CheckRead(file.GetString(key));
    CheckRead(file.GetStrings(key));
    CheckRead(file.GetInts(key));
  }
  CheckRead(file.GetUint32("no.such.key"));
}

// A listed tensor lies wholly inside the file, aligned, with the size of its shape and type,
// and can be read to its last byte.
void ReadTensors(const GgufFile& file) {
  for (const TensorInfo& tensor : file.tensors()) {
    CHECK(tensor.n_dims >= 1 && tensor.n_dims <= 4);
    const auto block = static_cast<uint64_t>(BlockElements(tensor.type));
    CHECK(tensor.shape[0] % block == 0);
    CHECK(tensor.bytes ==
          tensor.n_elements() / block * static_cast<uint64_t>(BlockBytes(tensor.type)));
    CHECK(tensor.offset % 8 == 0);
    const std::span<const uint8_t> data = file.Data(tensor);
    CHECK(data.size() == tensor.bytes && tensor.bytes > 0);
    // Reads every byte, so that the address sanitizer sees each.
    CHECK(std::accumulate(data.begin(), data.end(), uint64_t{0}) <= 255 * tensor.bytes);
    CHECK(file.FindTensor(tensor.name) == &tensor);
    file.DropPages(tensor);
  }
}

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = mortar::GgufFile::FromBytes(std::span(data, size), "fuzz.gguf");
  if (!file.ok()) {
    mortar::CheckMessage(file.status());
    return 0;
  }
  mortar::ReadMetadata(**file);
  mortar::ReadTensors(**file);
  return 0;
}
