#include "engine/gguf/outline.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "common/check.h"
#include "engine/gguf/limits.h"
#include "engine/gguf/parse.h"

namespace mortar {
namespace {

// GGUF's numbers for the types of values, as wide as they are held.
constexpr uint32_t kBoolType = 7;
constexpr uint32_t kStringType = 8;
constexpr uint32_t kArrayType = 9;
constexpr uint32_t kUint64Type = 10;
constexpr uint32_t kInt64Type = 11;
constexpr uint32_t kFloat64Type = 12;

using Bytes = std::string;

template <typename T>
void PutNumber(T value, Bytes& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutString(std::string_view text, Bytes& out) {
  PutNumber(uint64_t{text.size()}, out);
  out += text;
}

template <typename T>
constexpr uint32_t TypeOf() {
  if constexpr (std::is_same_v<T, bool>) return kBoolType;
  if constexpr (std::is_same_v<T, std::string>) return kStringType;
  if constexpr (std::is_same_v<T, uint64_t>) return kUint64Type;
  if constexpr (std::is_same_v<T, int64_t>) return kInt64Type;
  return kFloat64Type;
}

template <typename T>
void PutElement(const T& value, Bytes& out) {
  if constexpr (std::is_same_v<T, std::string>) {
    PutString(value, out);
  } else if constexpr (std::is_same_v<T, bool>) {
    PutNumber(static_cast<uint8_t>(value), out);
  } else {
    PutNumber(value, out);
  }
}

void PutArray(const GgufArray& array, Bytes& out) {
  PutNumber(kArrayType, out);
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        PutNumber(TypeOf<T>(), out);
        PutNumber(uint64_t{values.size()}, out);
        for (const auto& value : values) PutElement<T>(value, out);
      },
      array);
}

void PutValue(const GgufValue& value, Bytes& out) {
  if (const auto* array = std::get_if<GgufArray>(&value)) return PutArray(*array, out);
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (!std::is_same_v<T, GgufArray>) {
          PutNumber(TypeOf<T>(), out);
          PutElement<T>(v, out);
        }
      },
      value);
}

uint64_t Aligned(uint64_t n) {
  constexpr uint64_t kTo = gguf_limits::kAlignmentDefault;
  return (n + kTo - 1) / kTo * kTo;
}

}  // namespace

std::vector<uint8_t> EncodeOutline(const GgufMetadata& metadata, const GgufFile& file,
                                   const std::function<bool(const TensorInfo&)>& keeps) {
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& tensor : file.tensors()) tensors.push_back(&tensor);
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  Bytes out = "GGUF";
  PutNumber(uint32_t{3}, out);
  PutNumber(uint64_t{tensors.size()}, out);
  PutNumber(uint64_t{metadata.size()}, out);
  for (const auto& [key, value] : metadata) {
    PutString(key, out);
    PutValue(value, out);
  }
  Bytes data;
  for (const TensorInfo* tensor : tensors) {
    PutString(tensor->name, out);
    PutNumber(static_cast<uint32_t>(tensor->n_dims), out);
    for (int i = 0; i < tensor->n_dims; ++i) {
      PutNumber(tensor->shape[static_cast<size_t>(i)], out);
    }
    PutNumber(static_cast<uint32_t>(tensor->type), out);
    if (!keeps(*tensor)) {
      PutNumber(kAbsentOffset, out);
      continue;
    }
    PutNumber(uint64_t{data.size()}, out);
    const std::span<const uint8_t> bytes = file.Data(*tensor);
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    data.resize(Aligned(data.size()));
  }
  out.resize(Aligned(out.size()));
  out += data;
  return {out.begin(), out.end()};
}

absl::StatusOr<std::shared_ptr<GgufFile>> DecodeOutline(std::span<const uint8_t> bytes,
                                                        const std::string& name) {
  FileBytes copy = FileBytes::Copy(bytes);
  auto header = ParseGguf(copy.span(), Absent::kListed);
  if (!header.ok()) return WithContext(header.status(), name);
  GgufParts parts{std::move(header->metadata), std::move(header->tensors), {}};
  parts.parts.push_back(std::move(copy));
  return GgufFile::Assemble(std::move(parts), name);
}

}  // namespace mortar
