#include "engine/gguf/reader.h"

#include <algorithm>

namespace mortar {
namespace {

bool IsPrintable(char c) { return c >= 0x20 && c <= 0x7e; }

}  // namespace

absl::Status ByteReader::ReadString(uint64_t bytes_max, std::string_view* text) {
  const uint64_t start = offset_;
  uint64_t n = 0;
  RETURN_IF_ERROR(Read(&n));
  std::span<const uint8_t> bytes;
  absl::Status status;
  if (n > bytes_max) {
    status = ResourceExhausted("a string of " + std::to_string(n) + " bytes at offset " +
                               std::to_string(start) + " exceeds the limit of " +
                               std::to_string(bytes_max));
  } else {
    status = ReadBytes(n, &bytes);
  }
  if (!status.ok()) {
    offset_ = start;
    return status;
  }
  *text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return absl::OkStatus();
}

absl::Status ByteReader::ReadBytes(uint64_t n, std::span<const uint8_t>* bytes) {
  if (remaining() < n) return Ended(n);
  *bytes = bytes_.subspan(offset_, n);
  offset_ += n;
  return absl::OkStatus();
}

absl::Status ByteReader::Ended(uint64_t wanted) const {
  return DataLoss("expected " + std::to_string(wanted) + " bytes at offset " +
                  std::to_string(offset_) + ", but the file ends at " +
                  std::to_string(bytes_.size()) + " (is the download complete?)");
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShownMax = 80;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kShownMax)) {
    if (IsPrintable(c) && c != '\'' && c != '\\') {
      out += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  if (text.size() > kShownMax) out += "...";
  return out + "'";
}

bool IsPlainName(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsPrintable(c) && c != ' '; });
}

}  // namespace mortar
