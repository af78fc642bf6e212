#include "engine/hf/safetensors.h"

#include <algorithm>
#include <cstring>

#include "engine/gguf/limits.h"
#include "engine/gguf/reader.h"
#include "engine/hf/json.h"
#include "engine/hf/limits.h"

namespace mortar {
namespace {

constexpr uint64_t kCountBytes = 8;  // of the number in front of the header
constexpr char kMetadata[] = "__metadata__";

struct Dtype {
  const char* name;
  TensorType type;
};
constexpr Dtype kDtypes[] = {
    {"BF16", TensorType::kBF16}, {"F16", TensorType::kF16}, {"F32", TensorType::kF32}};

absl::StatusOr<TensorType> TypeOf(const Fields& fields) {
  ASSIGN_OR_RETURN(const std::string dtype, fields.String("dtype"));
  for (const Dtype& known : kDtypes) {
    if (std::string_view(dtype) == known.name) return known.type;
  }
  return fields.NotKnown("dtype", Quoted(dtype) + " is not read; known are BF16, F16 and F32");
}

// An unsigned integer of a list.
absl::StatusOr<uint64_t> At(const Fields& fields, const char* name, const Json& list, size_t i) {
  if (list[i].is_number_unsigned()) return list[i].get<uint64_t>();
  return fields.Wrong(name, "expected whole numbers from 0 on, found " +
                                (list[i].is_number() ? list[i].dump() : KindOf(list[i])));
}

absl::Status ReadShape(const Fields& fields, SafeTensor& tensor) {
  const Json* const shape = fields.Find("shape");
  if (shape == nullptr || !shape->is_array()) return fields.Wrong("shape", "expected a list");
  if (shape->size() > hf_limits::kTensorDimsMax) {
    return fields.Wrong("shape",
                        "expected at most 4 dimensions, got " + std::to_string(shape->size()));
  }
  uint64_t n = static_cast<uint64_t>(BlockBytes(tensor.type));
  for (size_t i = 0; i < shape->size(); ++i) {
    ASSIGN_OR_RETURN(const uint64_t extent, At(fields, "shape", *shape, i));
    if (__builtin_mul_overflow(n, extent, &n)) {
      return fields.Wrong("shape", "its size in bytes exceeds 64 bits");
    }
    tensor.shape.push_back(extent);
  }
  tensor.bytes = n;
  return absl::OkStatus();
}

// Offsets of the header count from its end, `data_begin` in the file.
absl::Status ReadOffsets(const Fields& fields, uint64_t data_begin, uint64_t data_bytes,
                         SafeTensor& tensor) {
  const Json* const offsets = fields.Find("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
    return fields.Wrong("data_offsets", "expected a list of two numbers");
  }
  ASSIGN_OR_RETURN(const uint64_t begin, At(fields, "data_offsets", *offsets, 0));
  ASSIGN_OR_RETURN(const uint64_t end, At(fields, "data_offsets", *offsets, 1));
  const std::string found = std::to_string(begin) + " to " + std::to_string(end);
  if (begin > end) return fields.Wrong("data_offsets", found + " runs backwards");
  if (end > data_bytes) {
    return DataLoss(fields.where() + ": bytes " + found + " lie beyond the " +
                    std::to_string(data_bytes) +
                    " that follow the header (is the download complete?)");
  }
  if (end - begin != tensor.bytes) {
    return fields.Wrong("data_offsets", std::to_string(end - begin) +
                                            " bytes, but shape and dtype " + "need " +
                                            std::to_string(tensor.bytes));
  }
  tensor.offset = data_begin + begin;
  return absl::OkStatus();
}

absl::StatusOr<SafeTensor> ReadTensor(const std::string& name, const Json& value,
                                      uint64_t data_begin, uint64_t data_bytes) {
  if (!IsPlainName(name) || name.size() > gguf_limits::kKeyBytesMax) {
    return InvalidArgument("tensor name " + Quoted(name) +
                           " is not printable ASCII of at most 256 bytes without spaces");
  }
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(value, "tensor " + Quoted(name)));
  SafeTensor tensor;
  tensor.name = name;
  ASSIGN_OR_RETURN(tensor.type, TypeOf(fields));
  RETURN_IF_ERROR(ReadShape(fields, tensor));
  RETURN_IF_ERROR(ReadOffsets(fields, data_begin, data_bytes, tensor));
  return tensor;
}

// Each tensor begins where the one before it ends, and the last ends with the file.
absl::Status CheckCoverage(const std::vector<SafeTensor>& tensors, uint64_t data_begin,
                           uint64_t file_bytes) {
  std::vector<const SafeTensor*> by_offset;
  by_offset.reserve(tensors.size());
  for (const SafeTensor& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const SafeTensor* a, const SafeTensor* b) {
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  uint64_t end = data_begin;
  for (const SafeTensor* const tensor : by_offset) {
    if (tensor->offset != end) {
      return InvalidArgument("tensor " + Quoted(tensor->name) + " begins at byte " +
                             std::to_string(tensor->offset - data_begin) +
                             " of the data, expected " + std::to_string(end - data_begin) +
                             ", where the one before it ends");
    }
    end += tensor->bytes;
  }
  if (end == file_bytes) return absl::OkStatus();
  return InvalidArgument("the tensors end at byte " + std::to_string(end) + " of the file's " +
                         std::to_string(file_bytes));
}

// The length of the header in bytes.
absl::StatusOr<uint64_t> HeaderBytes(std::span<const uint8_t> file) {
  ByteReader reader(file);
  uint64_t n = 0;
  RETURN_IF_ERROR(WithContext(reader.Read(&n), "not a safetensors file: length of its header"));
  if (n > hf_limits::kHeaderBytesMax) {
    return ResourceExhausted("not a safetensors file: a header of " + std::to_string(n) +
                             " bytes, the limit is " + std::to_string(hf_limits::kHeaderBytesMax));
  }
  if (n > reader.remaining()) {
    return DataLoss("a header of " + std::to_string(n) + " bytes, but only " +
                    std::to_string(reader.remaining()) +
                    " are left of the file (is the download complete?)");
  }
  if (n == 0 || file[kCountBytes] != '{') {
    return InvalidArgument("not a safetensors file: its header does not begin with '{'");
  }
  return n;
}

}  // namespace

absl::StatusOr<std::vector<SafeTensor>> ParseSafetensors(std::span<const uint8_t> file) {
  ASSIGN_OR_RETURN(const uint64_t header_bytes, HeaderBytes(file));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kCountBytes,
                              header_bytes);
  auto header = ParseJson(text, {hf_limits::kHeaderBytesMax, hf_limits::kHeaderValuesMax});
  if (!header.ok()) return WithContext(header.status(), "header");
  if (!header->is_object()) return InvalidArgument("header: expected an object");
  if (header->size() > hf_limits::kTensorsMax + 1) {
    return ResourceExhausted("header: " + std::to_string(header->size()) +
                             " tensors, the limit is " + std::to_string(hf_limits::kTensorsMax));
  }
  const uint64_t data_begin = kCountBytes + header_bytes;
  std::vector<SafeTensor> tensors;
  tensors.reserve(header->size());
  for (const auto& [name, value] : header->items()) {
    if (name == kMetadata) continue;  // notes of the writer
    ASSIGN_OR_RETURN(SafeTensor tensor,
                     ReadTensor(name, value, data_begin, file.size() - data_begin));
    tensors.push_back(std::move(tensor));
  }
  RETURN_IF_ERROR(CheckCoverage(tensors, data_begin, file.size()));
  return tensors;
}

}  // namespace mortar
