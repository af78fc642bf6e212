#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "common/check.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

// GGUF's numbers for the types of values that are written here.
constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9,
                   kUint64 = 10, kFloat64 = 12;

template <typename T>
std::vector<uint8_t> NumberBytes(T value) {
  std::vector<uint8_t> bytes;
  AppendNumber(value, bytes);
  return bytes;
}

// Element type and count, then the elements.
template <typename T>
std::vector<uint8_t> ArrayBytes(uint32_t type, std::span<const T> values) {
  std::vector<uint8_t> bytes;
  AppendNumber(type, bytes);
  AppendNumber(uint64_t{values.size()}, bytes);
  for (const T& value : values) AppendNumber(value, bytes);
  return bytes;
}

uint64_t AlignUp(uint64_t n, uint32_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

}  // namespace

void AppendString(std::string_view text, std::vector<uint8_t>& out) {
  AppendNumber(uint64_t{text.size()}, out);
  out.insert(out.end(), text.begin(), text.end());
}

void GgufWriter::AddUint32(std::string_view name, uint32_t value) {
  AddRaw(name, kUint32, NumberBytes(value));
}
void GgufWriter::AddInt32(std::string_view name, int32_t value) {
  AddRaw(name, kInt32, NumberBytes(value));
}
void GgufWriter::AddUint64(std::string_view name, uint64_t value) {
  AddRaw(name, kUint64, NumberBytes(value));
}
void GgufWriter::AddFloat(std::string_view name, float value) {
  AddRaw(name, kFloat32, NumberBytes(value));
}
void GgufWriter::AddDouble(std::string_view name, double value) {
  AddRaw(name, kFloat64, NumberBytes(value));
}
void GgufWriter::AddBool(std::string_view name, bool value) {
  AddRaw(name, kBool, NumberBytes(static_cast<uint8_t>(value)));
}
void GgufWriter::AddString(std::string_view name, std::string_view value) {
  std::vector<uint8_t> bytes;
  AppendString(value, bytes);
  AddRaw(name, kString, std::move(bytes));
}
void GgufWriter::AddStrings(std::string_view name, std::span<const std::string> values) {
  std::vector<uint8_t> bytes;
  AppendNumber(kString, bytes);
  AppendNumber(uint64_t{values.size()}, bytes);
  for (const std::string& value : values) AppendString(value, bytes);
  AddRaw(name, kArray, std::move(bytes));
}
void GgufWriter::AddInts(std::string_view name, std::span<const int32_t> values) {
  AddRaw(name, kArray, ArrayBytes(kInt32, values));
}
void GgufWriter::AddFloats(std::string_view name, std::span<const float> values) {
  AddRaw(name, kArray, ArrayBytes(kFloat32, values));
}
void GgufWriter::AddRaw(std::string_view name, uint32_t type, std::vector<uint8_t> value) {
  keys.push_back({std::string(name), type, std::move(value)});
}

void GgufWriter::AddTensor(std::string_view name, TensorType type, std::vector<uint64_t> shape,
                           std::span<const float> values) {
  uint64_t n_elements = 1;
  for (const uint64_t extent : shape) n_elements *= extent;
  CHECK(n_elements == values.size());
  tensors.push_back({std::string(name), std::move(shape), static_cast<uint32_t>(type),
                     EncodeTensor(type, values)});
}

GgufWriter::Key& GgufWriter::FindKey(std::string_view name) {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [name](const Key& key) { return key.name == name; });
  CHECK(found != keys.end());
  return *found;
}

GgufWriter::Tensor& GgufWriter::FindTensor(std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [name](const Tensor& tensor) { return tensor.name == name; });
  CHECK(found != tensors.end());
  return *found;
}

std::vector<uint8_t> GgufWriter::HeadBytes() const {
  std::vector<uint8_t> out;
  for (const char c : magic) out.push_back(static_cast<uint8_t>(c));
  AppendNumber(version, out);
  AppendNumber(n_tensors.value_or(tensors.size()), out);
  AppendNumber(n_keys.value_or(keys.size()), out);
  for (const Key& key : keys) {
    AppendString(key.name, out);
    AppendNumber(key.type, out);
    out.insert(out.end(), key.value.begin(), key.value.end());
  }
  uint64_t free_offset = 0;
  for (const Tensor& tensor : tensors) {
    AppendString(tensor.name, out);
    AppendNumber(tensor.n_dims.value_or(static_cast<uint32_t>(tensor.shape.size())), out);
    for (const uint64_t extent : tensor.shape) AppendNumber(extent, out);
    AppendNumber(tensor.type, out);
    AppendNumber(tensor.offset.value_or(free_offset), out);
    free_offset = AlignUp(free_offset + tensor.data.size(), alignment);
  }
  return out;
}

std::vector<uint8_t> GgufWriter::Bytes() const {
  std::vector<uint8_t> out = HeadBytes();
  // The data lies in order whatever the offsets claim. The last tensor is not padded.
  for (const Tensor& tensor : tensors) {
    out.resize(AlignUp(out.size(), alignment));
    out.insert(out.end(), tensor.data.begin(), tensor.data.end());
  }
  return out;
}

// As Bytes() has it, without a copy of the whole: models may have gigabytes.
void GgufWriter::WriteTo(const std::string& path) const {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  uint64_t written = 0;
  const auto write = [&](const std::vector<uint8_t>& bytes) {
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    written += bytes.size();
  };
  write(HeadBytes());
  for (const Tensor& tensor : tensors) {
    write(std::vector<uint8_t>(AlignUp(written, alignment) - written));
    write(tensor.data);
  }
  file.close();
  CHECK(file.good());
}

}  // namespace mortar
