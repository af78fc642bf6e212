#include "engine/model/key_reader.h"

#include <cmath>
#include <optional>
#include <variant>

namespace mortar {
namespace {

std::optional<double> NumberOf(const GgufValue& value) {
  if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&value)) return static_cast<double>(*u);
  if (const auto* d = std::get_if<double>(&value)) return *d;
  if (const auto* b = std::get_if<bool>(&value)) return *b ? 1 : 0;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<int> KeyReader::Int(const std::string& name, uint32_t min, uint32_t max) const {
  ASSIGN_OR_RETURN(const uint32_t value, file_.GetUint32(Key(name)));
  if (value < min || value > max) {
    return Contradiction(name, "expected " + std::to_string(min) + " to " + std::to_string(max) +
                                   ", got " + std::to_string(value));
  }
  return static_cast<int>(value);
}

absl::StatusOr<float> KeyReader::Positive(const std::string& name) const {
  ASSIGN_OR_RETURN(const float value, file_.GetFloat(Key(name)));
  if (!(value > 0) || std::isinf(value)) {
    return Contradiction(name, "expected a positive number, got " + std::to_string(value));
  }
  return value;
}

absl::StatusOr<float> KeyReader::PositiveOr(const std::string& name, float absent) const {
  return Has(name) ? Positive(name) : absent;
}

absl::Status KeyReader::ExpectNeutral(const std::string& name, double neutral) const {
  const auto at = file_.metadata().find(Key(name));
  if (at == file_.metadata().end()) return absl::OkStatus();
  const std::optional<double> value = NumberOf(at->second);
  if (value && *value == neutral) return absl::OkStatus();
  std::string known = std::to_string(neutral);
  known.erase(known.find('.'));
  return Unimplemented(Key(name) + " is not supported for this architecture: expected " + known +
                       ", got " + (value ? std::to_string(*value) : "what is no number"));
}

absl::Status KeyReader::Contradiction(const std::string& name, const std::string& what) const {
  return InvalidArgument(Key(name) + ": " + what);
}

}  // namespace mortar
