#include "engine/text/jinja/json_reader.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/text/jinja/limits.h"

namespace mortar::jinja {
namespace {

// Takes the events of a parse, and builds values from the inside out.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return Add(Value()); }
  bool boolean(bool value) override { return Add(Value(value)); }
  bool number_integer(number_integer_t value) override { return Add(Value(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= INT64_MAX) return Add(Value(static_cast<int64_t>(value)));
    return Fail(OutOfRange("JSON with an integer of more than 64 bits"));
  }
  bool number_float(number_float_t value, const string_t& written) override {
    // An integer that fits no 64 bits arrives here as well.
    if (written.find_first_of(".eE") == std::string::npos) {
      return Fail(OutOfRange("JSON with an integer of more than 64 bits"));
    }
    return Add(Value(double{value}));
  }
  bool string(string_t& value) override { return Add(Text(value, false)); }
  bool binary(binary_t& /*value*/) override { return false; }  // JSON text has none
  bool start_object(size_t /*n*/) override { return Open(true); }
  bool key(string_t& value) override {
    keys_.back() = value;
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t /*n*/) override { return Open(false); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t at, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return Fail(InvalidArgument("no valid JSON at byte " + std::to_string(at)));
  }

  absl::StatusOr<Value> Take() {
    if (!status_.ok()) return status_;
    return std::move(top_);
  }

 private:
  struct Level {
    bool is_dict;
    List list;
    Dict dict;
    std::unordered_map<std::string, size_t> places;  // of the dict's keys
  };

  bool Fail(absl::Status status) {
    status_ = std::move(status);
    return false;
  }
  bool Open(bool is_dict) {
    if (levels_.size() == kJsonNestingMax) {
      return Fail(ResourceExhausted("JSON nests deeper than " + std::to_string(kJsonNestingMax) +
                                    " levels"));
    }
    levels_.push_back({is_dict, {}, {}, {}});
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    keys_.pop_back();
    return Add(level.is_dict ? Value(std::move(level.dict)) : Value(std::move(level.list)));
  }
  bool Add(Value value) {
    if (levels_.empty()) {
      top_ = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (level.list.size() == kListItemsMax || level.dict.size() == kListItemsMax) {
      return Fail(ResourceExhausted("JSON with more than " + std::to_string(kListItemsMax) +
                                    " items in one list or object"));
    }
    if (!level.is_dict) {
      level.list.push_back(std::move(value));
      return true;
    }
    const auto [place, is_new] = level.places.try_emplace(keys_.back(), level.dict.size());
    if (is_new) {
      level.dict.emplace_back(Text(keys_.back(), false), std::move(value));
    } else {
      level.dict[place->second].second = std::move(value);
    }
    return true;
  }

  std::vector<Level> levels_;      // open lists and objects, the innermost last
  std::vector<std::string> keys_;  // of each, the key whose value comes next
  Value top_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Value> ReadJson(std::string_view json) {
  if (json.size() > kJsonBytesMax) {
    return ResourceExhausted("JSON of " + std::to_string(json.size()) +
                             " bytes, expected at most " + std::to_string(kJsonBytesMax));
  }
  Builder builder;
  nlohmann::json::sax_parse(json.begin(), json.end(), &builder);
  return builder.Take();
}

}  // namespace mortar::jinja
