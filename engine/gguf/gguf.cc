#include "engine/gguf/gguf.h"

#include <cmath>
#include <limits>
#include <utility>

#include "common/check.h"
#include "engine/gguf/metadata.h"
#include "engine/gguf/parse.h"
#include "engine/gguf/reader.h"
#include "engine/gguf/split.h"

namespace mortar {
namespace {

// An integer of either kind as T, or nothing when it does not fit.
template <typename T, typename Integer>
std::optional<T> Fit(Integer value) {
  if (!std::in_range<T>(value)) return std::nullopt;
  return static_cast<T>(value);
}

// The first element that is no int32, or -1 when `out` holds them all.
template <typename Integer>
int64_t NarrowAll(const std::vector<Integer>& values, std::vector<int32_t>& out) {
  out.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto fit = Fit<int32_t>(values[i]);
    if (!fit) return static_cast<int64_t>(i);
    out.push_back(*fit);
  }
  return -1;
}

// A model that `bytes` holds whole.
GgufParts OnePart(FileBytes bytes, GgufHeader header) {
  GgufParts parts{std::move(header.metadata), std::move(header.tensors), {}};
  parts.parts.push_back(std::move(bytes));
  return parts;
}

bool FitsFloat(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }

}  // namespace

absl::StatusOr<std::shared_ptr<GgufFile>> GgufFile::Open(const std::string& path) {
  auto bytes = FileBytes::Map(path);
  if (!bytes.ok()) return WithContext(bytes.status(), path);
  auto header = ParseGguf(bytes->span());
  if (!header.ok()) return WithContext(header.status(), path);
  const auto place = ReadSplitPlace(header->metadata);
  if (!place.ok()) return WithContext(place.status(), path);
  GgufParts parts;
  if (place->has_value()) {
    ASSIGN_OR_RETURN(parts, OpenSplit(path, *std::move(bytes), *std::move(header), **place));
  } else {
    parts = OnePart(*std::move(bytes), *std::move(header));
  }
  std::vector<OpenedFile> files;
  for (const FileBytes& part : parts.parts) files.push_back({part.path(), *part.stamp()});
  ASSIGN_OR_RETURN(std::shared_ptr<GgufFile> file, Assemble(std::move(parts), path));
  file->files_ = std::move(files);
  return file;
}

absl::StatusOr<std::shared_ptr<GgufFile>> GgufFile::FromBytes(std::span<const uint8_t> bytes,
                                                              const std::string& name) {
  FileBytes copy = FileBytes::Copy(bytes);
  auto header = ParseGguf(copy.span());
  if (!header.ok()) return WithContext(header.status(), name);
  const auto place = ReadSplitPlace(header->metadata);
  if (!place.ok()) return WithContext(place.status(), name);
  if (place->has_value()) {
    return InvalidArgument(name + ": is " + Describe(**place) +
                           " of a model, expected a whole one: bytes do not tell where the others "
                           "are");
  }
  return Assemble(OnePart(std::move(copy), *std::move(header)), name);
}

absl::StatusOr<std::shared_ptr<GgufFile>> GgufFile::Assemble(GgufParts parts,
                                                             const std::string& name) {
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->path_ = name;
  file->parts_ = std::move(parts.parts);
  file->metadata_ = std::move(parts.metadata);
  file->tensors_ = std::move(parts.tensors);
  for (size_t i = 0; i < file->tensors_.size(); ++i) {
    const TensorInfo& tensor = file->tensors_[i];
    if (tensor.part != kNoPart) {
      CHECK(tensor.part < file->parts_.size());
      const uint64_t part_bytes = file->parts_[tensor.part].span().size();
      CHECK(tensor.offset <= part_bytes && tensor.bytes <= part_bytes - tensor.offset);
    }
    if (!file->tensor_index_.emplace(tensor.name, i).second) {
      return InvalidArgument(name + ": tensor " + Quoted(tensor.name) + " occurs twice");
    }
  }
  return file;
}

uint64_t GgufFile::file_bytes() const {
  uint64_t bytes = 0;
  for (const FileBytes& part : parts_) bytes += part.span().size();
  return bytes;
}

absl::StatusOr<const GgufValue*> GgufFile::Find(std::string_view key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) {
    return NotFound(path_ + ": key " + Quoted(key) + " is missing");
  }
  return &entry->second;
}

absl::Status GgufFile::Unfit(std::string_view key, const std::string& wanted,
                             const std::string& found) const {
  return InvalidArgument(path_ + ": key " + Quoted(key) + ": expected " + wanted + ", found " +
                         found);
}

absl::StatusOr<uint32_t> GgufFile::GetUint32(std::string_view key) const {
  constexpr char kWanted[] = "an unsigned integer of 32 bits";
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  std::optional<uint32_t> fit;
  std::string found;
  if (const auto* u = std::get_if<uint64_t>(value)) {
    fit = Fit<uint32_t>(*u);
    found = std::to_string(*u);
  } else if (const auto* i = std::get_if<int64_t>(value)) {
    fit = Fit<uint32_t>(*i);
    found = std::to_string(*i);
  } else {
    found = KindName(*value);
  }
  if (!fit) return Unfit(key, kWanted, found);
  return *fit;
}

absl::StatusOr<float> GgufFile::GetFloat(std::string_view key) const {
  constexpr char kWanted[] = "a finite float of 32 bits";
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* number = std::get_if<double>(value);
  if (number == nullptr) return Unfit(key, kWanted, KindName(*value));
  if (!FitsFloat(*number)) return Unfit(key, kWanted, std::to_string(*number));
  return static_cast<float>(*number);
}

absl::StatusOr<bool> GgufFile::GetBool(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* truth = std::get_if<bool>(value);
  if (truth == nullptr) return Unfit(key, "a truth value", KindName(*value));
  return *truth;
}

absl::StatusOr<std::string> GgufFile::GetString(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) return Unfit(key, "a string", KindName(*value));
  return *text;
}

absl::StatusOr<const std::vector<std::string>*> GgufFile::GetStrings(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* array = std::get_if<GgufArray>(value);
  const auto* texts = array ? std::get_if<std::vector<std::string>>(array) : nullptr;
  if (texts == nullptr) return Unfit(key, "an array of strings", KindName(*value));
  return texts;
}

absl::StatusOr<std::vector<int32_t>> GgufFile::GetInts(std::string_view key) const {
  constexpr char kWanted[] = "an array of integers of 32 bits";
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* array = std::get_if<GgufArray>(value);
  std::vector<int32_t> ints;
  int64_t misfit = -1;
  if (const auto* i = array ? std::get_if<std::vector<int64_t>>(array) : nullptr) {
    misfit = NarrowAll(*i, ints);
    if (misfit >= 0) return Unfit(key, kWanted, std::to_string((*i)[misfit]));
  } else if (const auto* u = array ? std::get_if<std::vector<uint64_t>>(array) : nullptr) {
    misfit = NarrowAll(*u, ints);
    if (misfit >= 0) return Unfit(key, kWanted, std::to_string((*u)[misfit]));
  } else {
    return Unfit(key, kWanted, KindName(*value));
  }
  return ints;
}

absl::StatusOr<std::vector<float>> GgufFile::GetFloats(std::string_view key) const {
  constexpr char kWanted[] = "an array of finite numbers of 32 bits";
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key));
  const auto* array = std::get_if<GgufArray>(value);
  const auto* numbers = array ? std::get_if<std::vector<double>>(array) : nullptr;
  if (numbers == nullptr) return Unfit(key, kWanted, KindName(*value));
  std::vector<float> floats;
  floats.reserve(numbers->size());
  for (const double number : *numbers) {
    if (!FitsFloat(number)) return Unfit(key, kWanted, std::to_string(number));
    floats.push_back(static_cast<float>(number));
  }
  return floats;
}

absl::Status GgufFile::CheckUnchanged() const {
  for (const FileBytes& part : parts_) RETURN_IF_ERROR(part.CheckUnchanged());
  return absl::OkStatus();
}

const TensorInfo* GgufFile::FindTensor(std::string_view name) const {
  const auto entry = tensor_index_.find(name);
  return entry == tensor_index_.end() ? nullptr : &tensors_[entry->second];
}

std::span<const uint8_t> GgufFile::Data(const TensorInfo& tensor) const {
  CHECK(tensor.part < parts_.size());
  const std::span<const uint8_t> part = parts_[tensor.part].span();
  CHECK(tensor.offset <= part.size() && tensor.bytes <= part.size() - tensor.offset);
  return part.subspan(tensor.offset, tensor.bytes);
}

void GgufFile::DropPages(const TensorInfo& tensor, std::span<const uint8_t> piece) const {
  parts_[tensor.part].DropPages(piece);
}

}  // namespace mortar
