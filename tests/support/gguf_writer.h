// Writes GGUF files for tests: good ones by default, and wrong ones on request.
//
// Everything that is written is a public field, so that a test can spoil exactly one of them:
//   GgufWriter writer = SmallFile();
//   writer.tensors[0].offset = 123;
//   EXPECT_THAT(GgufFile::FromBytes(writer.Bytes(), "bad.gguf"), ...);
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gguf/gguf.h"

namespace mortar {

struct GgufWriter {
  struct Key {
    std::string name;
    uint32_t type = 0;           // GGUF's number of a value type
    std::vector<uint8_t> value;  // as stored, without the type
  };
  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;  // shape[0] varies fastest
    uint32_t type = 0;            // GGUF's number of a tensor type
    std::vector<uint8_t> data;
    std::optional<uint64_t> offset =
        std::nullopt;  // instead of the next free place in the data section
    std::optional<uint32_t> n_dims = std::nullopt;  // instead of shape.size()
  };

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint32_t alignment = 32;  // of data; a value other than 32 needs the key general.alignment
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  std::optional<uint64_t> n_keys;     // instead of keys.size()
  std::optional<uint64_t> n_tensors;  // instead of tensors.size()

  void AddUint32(std::string_view name, uint32_t value);
  void AddInt32(std::string_view name, int32_t value);
  void AddUint64(std::string_view name, uint64_t value);
  void AddFloat(std::string_view name, float value);
  void AddDouble(std::string_view name, double value);
  void AddBool(std::string_view name, bool value);
  void AddString(std::string_view name, std::string_view value);
  void AddStrings(std::string_view name, std::span<const std::string> values);
  void AddInts(std::string_view name, std::span<const int32_t> values);
  void AddFloats(std::string_view name, std::span<const float> values);
  // A value of any type from its stored bytes.
  void AddRaw(std::string_view name, uint32_t type, std::vector<uint8_t> value);
  // `values` encoded as `type`.
  void AddTensor(std::string_view name, TensorType type, std::vector<uint64_t> shape,
                 std::span<const float> values);

  // The key or tensor of this name, to be spoiled. Needs: there is one.
  Key& FindKey(std::string_view name);
  Tensor& FindTensor(std::string_view name);

  std::vector<uint8_t> HeadBytes() const;  // what stands before the tensors' data
  std::vector<uint8_t> Bytes() const;
  void WriteTo(const std::string& path) const;  // CHECKs that the file could be written
};

// Little-endian bytes of a number, for AddRaw.
template <typename T>
void AppendNumber(T value, std::vector<uint8_t>& out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(bytes[i]);
}
// A string as GGUF stores it: its length as 64 bits, then its characters.
void AppendString(std::string_view text, std::vector<uint8_t>& out);

}  // namespace mortar
