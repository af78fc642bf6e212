// JSON of a model's folder: parsed within limits, and read field by field with errors that say
// which field, what was expected and what came.
//
// nlohmann-json throws where a value has another kind than the one asked for: Fields looks before
// it asks, so that no exception arises.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace mortar {

using Json = nlohmann::json;

struct JsonLimits {
  uint64_t bytes = 0;
  uint64_t values = 0;  // of any kind, lists and objects included
};

// InvalidArgument for what is no JSON and for a key that occurs twice in an object,
// ResourceExhausted above a limit or nested deeper than kNestingMax.
absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits);

// The bytes of a whole file, at most `bytes_max`. Errors begin with the path.
absl::StatusOr<std::string> ReadText(const std::string& path, uint64_t bytes_max);

// The same for a file. Errors begin with its path.
absl::StatusOr<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits);

// "a string", "an object", for messages.
const char* KindOf(const Json& value);

// One object. It outlives its Fields; `where` begins every error: a path, and what inside it. A
// field that is null counts as absent.
class Fields {
 public:
  // InvalidArgument when the value is no object.
  static absl::StatusOr<Fields> Of(const Json& value, const std::string& where);

  const Json* Find(const std::string& name) const;  // null when absent
  bool Has(const std::string& name) const { return Find(name) != nullptr; }

  // NotFound when it is absent, InvalidArgument when it is of another kind or out of range.
  absl::StatusOr<uint64_t> Int(const std::string& name, uint64_t min, uint64_t max) const;
  absl::StatusOr<double> Number(const std::string& name) const;
  absl::StatusOr<std::string> String(const std::string& name) const;
  absl::StatusOr<std::vector<double>> Numbers(const std::string& name) const;
  absl::StatusOr<Fields> Object(const std::string& name) const;
  // The same; `absent` when it is absent.
  absl::StatusOr<uint64_t> IntOr(const std::string& name, uint64_t min, uint64_t max,
                                 uint64_t absent) const;
  absl::StatusOr<double> NumberOr(const std::string& name, double absent) const;
  absl::StatusOr<bool> BoolOr(const std::string& name, bool absent) const;
  absl::StatusOr<std::string> StringOr(const std::string& name, const std::string& absent) const;

  // InvalidArgument that begins with the place and the field.
  absl::Status Wrong(const std::string& name, const std::string& what) const;
  // Unimplemented, likewise.
  absl::Status NotKnown(const std::string& name, const std::string& what) const;
  const std::string& where() const { return where_; }

 private:
  Fields(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {}
  absl::StatusOr<const Json*> Needed(const std::string& name) const;
  absl::Status Unfit(const std::string& name, const char* wanted, const Json& found) const;

  const Json* object_;
  std::string where_;
};

}  // namespace mortar
