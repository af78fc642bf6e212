#include "engine/hf/json.h"

#include <cmath>
#include <utility>

#include "engine/gguf/file_bytes.h"
#include "engine/gguf/reader.h"
#include "engine/hf/limits.h"

namespace mortar {
namespace {

// Takes the events of a parse and builds the value, within limits.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(uint64_t values_max) : values_max_(values_max) {}

  bool null() override { return Add(Json()) != nullptr; }
  bool boolean(bool value) override { return Add(Json(value)) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)) != nullptr; }
  bool number_float(number_float_t value, const string_t& /*written*/) override {
    return Add(Json(value)) != nullptr;
  }
  bool string(string_t& value) override { return Add(Json(std::move(value))) != nullptr; }
  bool binary(binary_t& /*value*/) override { return false; }  // JSON text has none
  bool start_object(size_t /*n*/) override { return Open(Json::object()); }
  bool key(string_t& value) override {
    if (open_.back()->contains(value)) {
      return Fail(InvalidArgument("JSON: key " + Quoted(value) + " occurs twice in an object"));
    }
    key_ = std::move(value);
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t /*n*/) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t at, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return Fail(InvalidArgument("no valid JSON at byte " + std::to_string(at)));
  }

  absl::StatusOr<Json> Take() {
    if (!status_.ok()) return status_;
    return std::move(top_);
  }

 private:
  bool Fail(absl::Status status) {
    status_ = std::move(status);
    return false;
  }
  bool Open(Json empty) {
    if (open_.size() == hf_limits::kNestingMax) {
      return Fail(ResourceExhausted("JSON nests deeper than " +
                                    std::to_string(hf_limits::kNestingMax) + " levels"));
    }
    Json* const added = Add(std::move(empty));
    if (added == nullptr) return false;
    open_.push_back(added);
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  // Where the value stands now; null when there are too many.
  Json* Add(Json value) {
    if (++n_values_ > values_max_) {
      Fail(ResourceExhausted("JSON of more than " + std::to_string(values_max_) + " values"));
      return nullptr;
    }
    if (open_.empty()) {
      top_ = std::move(value);
      return &top_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  const uint64_t values_max_;
  uint64_t n_values_ = 0;
  Json top_;
  std::vector<Json*> open_;  // lists and objects around what comes next, the innermost last
  std::string key_;          // of the value that comes next, where the innermost is an object
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return ResourceExhausted("JSON of " + std::to_string(text.size()) +
                             " bytes, expected at most " + std::to_string(limits.bytes));
  }
  Builder builder(limits.values);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.Take();
}

absl::StatusOr<std::string> ReadText(const std::string& path, uint64_t bytes_max) {
  const auto bytes = FileBytes::Map(path);
  if (!bytes.ok()) return WithContext(bytes.status(), path);
  const std::span<const uint8_t> span = bytes->span();
  if (span.size() > bytes_max) {
    return ResourceExhausted(path + ": has " + std::to_string(span.size()) +
                             " bytes, expected at most " + std::to_string(bytes_max));
  }
  return std::string(reinterpret_cast<const char*>(span.data()), span.size());
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, limits.bytes));
  auto json = ParseJson(text, limits);
  if (!json.ok()) return WithContext(json.status(), path);
  return json;
}

const char* KindOf(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a truth value";
    default:
      return "a number";
  }
}

absl::StatusOr<Fields> Fields::Of(const Json& value, const std::string& where) {
  if (value.is_object()) return Fields(value, where);
  return InvalidArgument(where + ": expected an object, found " + KindOf(value));
}

const Json* Fields::Find(const std::string& name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

absl::Status Fields::Wrong(const std::string& name, const std::string& what) const {
  return InvalidArgument(where_ + ": field " + Quoted(name) + ": " + what);
}

absl::Status Fields::NotKnown(const std::string& name, const std::string& what) const {
  return Unimplemented(where_ + ": field " + Quoted(name) + ": " + what);
}

absl::Status Fields::Unfit(const std::string& name, const char* wanted, const Json& found) const {
  return Wrong(name, std::string("expected ") + wanted + ", found " +
                         (found.is_number() ? found.dump() : KindOf(found)));
}

absl::StatusOr<const Json*> Fields::Needed(const std::string& name) const {
  const Json* const found = Find(name);
  if (found == nullptr) return NotFound(where_ + ": field " + Quoted(name) + " is missing");
  return found;
}

absl::StatusOr<uint64_t> Fields::Int(const std::string& name, uint64_t min, uint64_t max) const {
  ASSIGN_OR_RETURN(const Json* found, Needed(name));
  // Some writers put 2048.0 where a count stands.
  const bool whole = found->is_number_float() && found->get<double>() >= 0 &&
                     found->get<double>() <= 0x1p53 &&
                     std::floor(found->get<double>()) == found->get<double>();
  if (found->is_number_unsigned() || whole) {
    const auto value = found->get<uint64_t>();
    if (value >= min && value <= max) return value;
  }
  const std::string wanted =
      "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  return Unfit(name, wanted.c_str(), *found);
}

absl::StatusOr<double> Fields::Number(const std::string& name) const {
  ASSIGN_OR_RETURN(const Json* found, Needed(name));
  if (!found->is_number()) return Unfit(name, "a number", *found);
  return found->get<double>();
}

absl::StatusOr<std::string> Fields::String(const std::string& name) const {
  ASSIGN_OR_RETURN(const Json* found, Needed(name));
  if (!found->is_string()) return Unfit(name, "a string", *found);
  return found->get_ref<const std::string&>();
}

absl::StatusOr<std::vector<double>> Fields::Numbers(const std::string& name) const {
  ASSIGN_OR_RETURN(const Json* found, Needed(name));
  if (!found->is_array()) return Unfit(name, "a list of numbers", *found);
  std::vector<double> numbers;
  for (const Json& item : *found) {
    if (!item.is_number()) return Unfit(name, "a list of numbers", item);
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

absl::StatusOr<Fields> Fields::Object(const std::string& name) const {
  ASSIGN_OR_RETURN(const Json* found, Needed(name));
  return Of(*found, where_ + ": field " + Quoted(name));
}

absl::StatusOr<uint64_t> Fields::IntOr(const std::string& name, uint64_t min, uint64_t max,
                                       uint64_t absent) const {
  if (!Has(name)) return absent;
  return Int(name, min, max);
}

absl::StatusOr<double> Fields::NumberOr(const std::string& name, double absent) const {
  if (!Has(name)) return absent;
  return Number(name);
}

absl::StatusOr<bool> Fields::BoolOr(const std::string& name, bool absent) const {
  const Json* const found = Find(name);
  if (found == nullptr) return absent;
  if (!found->is_boolean()) return Unfit(name, "a truth value", *found);
  return found->get<bool>();
}

absl::StatusOr<std::string> Fields::StringOr(const std::string& name,
                                             const std::string& absent) const {
  if (!Has(name)) return absent;
  return String(name);
}

}  // namespace mortar
