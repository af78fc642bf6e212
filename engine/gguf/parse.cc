#include "engine/gguf/parse.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/gguf/limits.h"
#include "engine/gguf/metadata.h"
#include "engine/gguf/outline.h"
#include "engine/gguf/reader.h"

namespace mortar {
namespace {

// What one entry takes at least, in bytes: counts are held against these before they are used.
constexpr uint64_t kKeyEntryBytesMin = 8 + 1 + 4 + 1;             // key, type, value
constexpr uint64_t kTensorEntryBytesMin = 8 + 1 + 4 + 8 + 4 + 8;  // name, dims, type, offset

struct Counts {
  uint64_t tensors = 0;
  uint64_t keys = 0;
};

absl::Status CheckCount(const char* what, uint64_t count, uint64_t count_max,
                        uint64_t entry_bytes_min, uint64_t remaining) {
  if (count > count_max) {
    return ResourceExhausted(std::string(what) + " is " + std::to_string(count) +
                             ", the limit is " + std::to_string(count_max));
  }
  if (count * entry_bytes_min > remaining) {
    return DataLoss(std::string(what) + " is " + std::to_string(count) +
                    ", which cannot fit into the " + std::to_string(remaining) +
                    " bytes that are left of the file (is the download complete?)");
  }
  return absl::OkStatus();
}

absl::StatusOr<Counts> ReadPreamble(ByteReader& reader) {
  constexpr std::string_view kMagic = "GGUF";
  std::span<const uint8_t> magic;
  RETURN_IF_ERROR(WithContext(reader.ReadBytes(kMagic.size(), &magic), "not a GGUF file"));
  const std::string_view begin(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (begin != kMagic) {
    return InvalidArgument("not a GGUF file: it begins with " + Quoted(begin) +
                           ", expected 'GGUF'");
  }
  uint32_t version = 0;
  RETURN_IF_ERROR(WithContext(reader.Read(&version), "version"));
  if (version == uint32_t{2} << 24 || version == uint32_t{3} << 24) {
    return Unimplemented("the file is big endian; only little endian is read");
  }
  if (version != 2 && version != 3) {
    return Unimplemented("version is " + std::to_string(version) + ", expected 2 or 3");
  }
  Counts counts;
  RETURN_IF_ERROR(WithContext(reader.Read(&counts.tensors), "number of tensors"));
  RETURN_IF_ERROR(WithContext(reader.Read(&counts.keys), "number of metadata keys"));
  RETURN_IF_ERROR(CheckCount("number of tensors", counts.tensors, gguf_limits::kTensorsMax,
                             kTensorEntryBytesMin, reader.remaining()));
  RETURN_IF_ERROR(CheckCount("number of metadata keys", counts.keys, gguf_limits::kKeysMax,
                             kKeyEntryBytesMin, reader.remaining()));
  return counts;
}

absl::Status ReadKey(ByteReader& reader, uint64_t& elements_left, GgufMetadata& metadata) {
  std::string_view key;
  RETURN_IF_ERROR(WithContext(reader.ReadString(gguf_limits::kKeyBytesMax, &key), "name"));
  if (!IsPlainName(key)) {
    return InvalidArgument("name " + Quoted(key) + " is not printable ASCII without spaces");
  }
  const std::string where = Quoted(key);
  const auto [entry, is_new] = metadata.try_emplace(std::string(key));
  if (!is_new) return InvalidArgument(where + " occurs twice");
  auto value = ReadValue(reader, elements_left);
  if (!value.ok()) return WithContext(value.status(), where);
  entry->second = std::move(value).value();
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ReadAlignment(const GgufMetadata& metadata) {
  const auto entry = metadata.find("general.alignment");
  if (entry == metadata.end()) return gguf_limits::kAlignmentDefault;
  const auto* value = std::get_if<uint64_t>(&entry->second);
  if (value == nullptr) {
    return InvalidArgument("key 'general.alignment': expected an unsigned integer, found " +
                           std::string(KindName(entry->second)));
  }
  if (*value < gguf_limits::kAlignmentMin || *value > gguf_limits::kAlignmentMax ||
      !std::has_single_bit(*value)) {
    return InvalidArgument("key 'general.alignment': expected a power of two from " +
                           std::to_string(gguf_limits::kAlignmentMin) + " to " +
                           std::to_string(gguf_limits::kAlignmentMax) + ", got " +
                           std::to_string(*value));
  }
  return static_cast<uint32_t>(*value);
}

absl::Status ReadShape(ByteReader& reader, TensorInfo& tensor) {
  uint32_t n_dims = 0;
  RETURN_IF_ERROR(reader.Read(&n_dims));
  if (n_dims < 1 || n_dims > gguf_limits::kTensorDimsMax) {
    return InvalidArgument("expected 1 to 4 dimensions, got " + std::to_string(n_dims));
  }
  tensor.n_dims = static_cast<int>(n_dims);
  uint64_t n_elements = 1;
  for (uint32_t i = 0; i < n_dims; ++i) {
    RETURN_IF_ERROR(reader.Read(&tensor.shape[i]));
    if (tensor.shape[i] == 0) return InvalidArgument("dimension " + std::to_string(i) + " is zero");
    if (__builtin_mul_overflow(n_elements, tensor.shape[i], &n_elements)) {
      return InvalidArgument("the product of its dimensions exceeds 64 bits at dimension " +
                             std::to_string(i) + ", " + std::to_string(tensor.shape[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTypeAndOffset(ByteReader& reader, uint32_t alignment, TensorInfo& tensor) {
  uint32_t type = 0;
  RETURN_IF_ERROR(reader.Read(&type));
  ASSIGN_OR_RETURN(tensor.type, TensorTypeFromNumber(type));
  const auto block = static_cast<uint64_t>(BlockElements(tensor.type));
  if (tensor.shape[0] % block != 0) {
    return InvalidArgument("rows of " + std::to_string(tensor.shape[0]) +
                           " elements are not whole blocks of " + std::to_string(block) + " (" +
                           Name(tensor.type) + ")");
  }
  const auto block_bytes = static_cast<uint64_t>(BlockBytes(tensor.type));
  if (__builtin_mul_overflow(tensor.n_elements() / block, block_bytes, &tensor.bytes)) {
    return InvalidArgument("its size in bytes exceeds 64 bits");
  }
  RETURN_IF_ERROR(reader.Read(&tensor.offset));
  if (tensor.offset % alignment != 0) {
    return InvalidArgument("offset " + std::to_string(tensor.offset) +
                           " is not a multiple of the alignment, " + std::to_string(alignment));
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorInfo> ReadTensor(ByteReader& reader, uint32_t alignment,
                                      std::set<std::string_view>& names) {
  std::string_view name;
  RETURN_IF_ERROR(WithContext(reader.ReadString(gguf_limits::kTensorNameBytesMax, &name), "name"));
  if (!IsPlainName(name)) {
    return InvalidArgument("name " + Quoted(name) + " is not printable ASCII without spaces");
  }
  TensorInfo tensor;
  tensor.name = name;
  absl::Status status =
      names.insert(name).second ? absl::OkStatus() : InvalidArgument("occurs twice");
  if (status.ok()) status = ReadShape(reader, tensor);
  if (status.ok()) status = ReadTypeAndOffset(reader, alignment, tensor);
  if (!status.ok()) return WithContext(status, Quoted(name));
  return tensor;
}

// Turns offsets into the data section into offsets into the file, each wholly inside it.
absl::Status PlaceTensors(uint64_t data_begin, uint64_t file_bytes, Absent absent,
                          std::vector<TensorInfo>& tensors) {
  for (TensorInfo& tensor : tensors) {
    const uint64_t relative = tensor.offset;
    if (absent == Absent::kListed && relative == kAbsentOffset) {
      tensor.part = kNoPart;
      tensor.offset = 0;
      continue;
    }
    if (data_begin > file_bytes || relative > file_bytes - data_begin ||
        tensor.bytes > file_bytes - data_begin - relative) {
      return DataLoss("tensor " + Quoted(tensor.name) + ": offset " + std::to_string(data_begin) +
                      " + " + std::to_string(relative) + " and " + std::to_string(tensor.bytes) +
                      " bytes lie beyond the file's " + std::to_string(file_bytes) +
                      " (is the download complete?)");
    }
    tensor.offset += data_begin;
  }
  return absl::OkStatus();
}

absl::Status CheckOverlaps(const std::vector<TensorInfo>& tensors) {
  std::vector<const TensorInfo*> by_offset;
  by_offset.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) {
    if (tensor.part != kNoPart) by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const TensorInfo& before = *by_offset[i - 1];
    const TensorInfo& after = *by_offset[i];
    if (before.offset + before.bytes > after.offset) {
      return InvalidArgument("tensor " + Quoted(after.name) + " at offset " +
                             std::to_string(after.offset) + " overlaps tensor " +
                             Quoted(before.name) + ", which ends at " +
                             std::to_string(before.offset + before.bytes));
    }
  }
  return absl::OkStatus();
}

// Everything before the tensors' data. Offsets stay as the file has them.
absl::Status ReadHeader(ByteReader& reader, GgufHeader& header, uint32_t& alignment) {
  ASSIGN_OR_RETURN(const Counts counts, ReadPreamble(reader));
  uint64_t elements_left = gguf_limits::kArrayElementsMax;
  for (uint64_t i = 0; i < counts.keys; ++i) {
    const absl::Status status = ReadKey(reader, elements_left, header.metadata);
    if (!status.ok()) return WithContext(status, "metadata key " + std::to_string(i));
  }
  ASSIGN_OR_RETURN(alignment, ReadAlignment(header.metadata));

  std::set<std::string_view> names;  // views of the file
  header.tensors.reserve(counts.tensors);
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    auto tensor = ReadTensor(reader, alignment, names);
    if (!tensor.ok()) return WithContext(tensor.status(), "tensor " + std::to_string(i));
    header.tensors.push_back(std::move(tensor).value());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GgufHeader> ParseGguf(std::span<const uint8_t> file, Absent absent) {
  const bool cut = file.size() > gguf_limits::kHeaderBytesMax;
  ByteReader reader(cut ? file.first(gguf_limits::kHeaderBytesMax) : file);
  GgufHeader header;
  uint32_t alignment = 0;
  const absl::Status status = ReadHeader(reader, header, alignment);
  if (cut && status.code() == absl::StatusCode::kDataLoss) {
    return ResourceExhausted("the header exceeds the limit of " +
                             std::to_string(gguf_limits::kHeaderBytesMax) + " bytes");
  }
  RETURN_IF_ERROR(status);
  const uint64_t data_begin = (reader.offset() + alignment - 1) / alignment * alignment;
  RETURN_IF_ERROR(PlaceTensors(data_begin, file.size(), absent, header.tensors));
  RETURN_IF_ERROR(CheckOverlaps(header.tensors));
  return header;
}

}  // namespace mortar
