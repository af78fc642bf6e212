#include "engine/gguf/split.h"

#include <cstdio>
#include <utility>

#include "engine/gguf/limits.h"
#include "engine/gguf/metadata.h"
#include "engine/gguf/reader.h"

namespace mortar {
namespace {

constexpr std::string_view kNo = "split.no";
constexpr std::string_view kCount = "split.count";
constexpr std::string_view kTensors = "split.tensors.count";

absl::StatusOr<uint64_t> Number(const GgufMetadata& metadata, std::string_view key) {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) return InvalidArgument("key " + Quoted(key) + " is missing");
  if (const auto* u = std::get_if<uint64_t>(&entry->second)) return *u;
  const auto* i = std::get_if<int64_t>(&entry->second);  // what the tensors are counted with
  if (i != nullptr && *i >= 0) return static_cast<uint64_t>(*i);
  return InvalidArgument("key " + Quoted(key) + ": expected an unsigned integer, found " +
                         (i == nullptr ? KindName(entry->second) : std::to_string(*i)));
}

// How the name of such a file ends.
std::string Ending(int no, int count) {
  char text[32];
  std::snprintf(text, sizeof text, "-%05d-of-%05d.gguf", no + 1, count);
  return text;
}

// What the names of all files begin with.
absl::StatusOr<std::string> StemOf(const std::string& path, const SplitPlace& place) {
  const std::string ending = Ending(place.no, place.count);
  if (!path.ends_with(ending)) {
    return InvalidArgument(path + ": is " + Describe(place) +
                           " of a model, whose name should end with " + ending +
                           ", so that the others are found");
  }
  return path.substr(0, path.size() - ending.size());
}

void TakeTensors(std::vector<TensorInfo> tensors, uint32_t part, GgufParts& to) {
  for (TensorInfo& tensor : tensors) {
    tensor.part = part;
    to.tensors.push_back(std::move(tensor));
  }
}

// File `no`, which is to be the next one.
absl::Status AddFile(const std::string& path, const SplitPlace& first, int no, GgufParts& to) {
  auto bytes = FileBytes::Map(path);
  if (!bytes.ok()) return WithContext(bytes.status(), path);
  auto header = ParseGguf(bytes->span());
  if (!header.ok()) return WithContext(header.status(), path);
  auto place = ReadSplitPlace(header->metadata);
  if (!place.ok()) return WithContext(place.status(), path);
  const SplitPlace whole;
  const SplitPlace& found = place->has_value() ? **place : whole;
  if (found.no != no || found.count != first.count) {
    return InvalidArgument(path + ": is " + Describe(found) + ", expected " +
                           Describe({no, first.count}));
  }
  if (to.tensors.size() + header->tensors.size() > first.tensors) {
    return InvalidArgument(path + ": has more tensors than the " + std::to_string(first.tensors) +
                           " of all files that the first one tells of");
  }
  TakeTensors(std::move(header->tensors), static_cast<uint32_t>(no), to);
  to.parts.push_back(*std::move(bytes));
  return absl::OkStatus();
}

}  // namespace

std::string Describe(const SplitPlace& place) {
  return "file " + std::to_string(place.no + 1) + " of " + std::to_string(place.count);
}

absl::StatusOr<std::optional<SplitPlace>> ReadSplitPlace(const GgufMetadata& metadata) {
  if (!metadata.contains(kCount)) return std::nullopt;
  ASSIGN_OR_RETURN(const uint64_t count, Number(metadata, kCount));
  if (count <= 1) return std::nullopt;
  if (count > gguf_limits::kSplitFilesMax) {
    return ResourceExhausted("the model is split over " + std::to_string(count) +
                             " files, the limit is " + std::to_string(gguf_limits::kSplitFilesMax));
  }
  ASSIGN_OR_RETURN(const uint64_t no, Number(metadata, kNo));
  ASSIGN_OR_RETURN(const uint64_t tensors, Number(metadata, kTensors));
  if (no >= count) {
    return InvalidArgument("key " + Quoted(kNo) + " is " + std::to_string(no) + " of " +
                           std::to_string(count) + " files, counted from 0");
  }
  if (tensors > gguf_limits::kTensorsMax) {
    return ResourceExhausted("key " + Quoted(kTensors) + " is " + std::to_string(tensors) +
                             ", the limit is " + std::to_string(gguf_limits::kTensorsMax));
  }
  return SplitPlace{static_cast<int>(no), static_cast<int>(count), tensors};
}

absl::StatusOr<GgufParts> OpenSplit(const std::string& path, FileBytes bytes, GgufHeader header,
                                    const SplitPlace& place) {
  ASSIGN_OR_RETURN(const std::string stem, StemOf(path, place));
  if (place.no != 0) {
    return InvalidArgument(path + ": is " + Describe(place) + " of a model; give the first, " +
                           stem + Ending(0, place.count));
  }
  GgufParts parts;
  parts.metadata = std::move(header.metadata);
  TakeTensors(std::move(header.tensors), 0, parts);
  parts.parts.push_back(std::move(bytes));
  for (int no = 1; no < place.count; ++no) {
    RETURN_IF_ERROR(AddFile(stem + Ending(no, place.count), place, no, parts));
  }
  if (parts.tensors.size() != place.tensors) {
    return InvalidArgument(path + ": its " + std::to_string(place.count) + " files hold " +
                           std::to_string(parts.tensors.size()) + " tensors, key " +
                           Quoted(kTensors) + " says " + std::to_string(place.tensors));
  }
  return parts;
}

}  // namespace mortar
