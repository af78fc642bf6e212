#include "engine/gguf/metadata.h"

#include <string>
#include <utility>

#include "engine/gguf/limits.h"

namespace mortar {
namespace {

// GGUF's numbers for the types of metadata values.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Reads one value stored as Wire into the wider Wide.
template <typename Wire, typename Wide>
absl::Status ReadScalar(ByteReader& reader, GgufValue& value) {
  Wire stored{};
  RETURN_IF_ERROR(reader.Read(&stored));
  value.emplace<Wide>(stored);
  return absl::OkStatus();
}

absl::StatusOr<bool> ToBool(uint8_t byte) {
  if (byte > 1) return InvalidArgument("a truth value is 0 or 1, got " + std::to_string(byte));
  return byte == 1;
}

// `n` values stored as Wire. The bytes are taken before the vector is allocated: what is
// allocated is at most eight times what the file holds.
template <typename Wire, typename Wide>
absl::Status ReadNumbers(ByteReader& reader, uint64_t n, GgufArray& array) {
  std::span<const uint8_t> bytes;
  RETURN_IF_ERROR(reader.ReadBytes(n * sizeof(Wire), &bytes));
  std::vector<Wide> values(n);
  for (uint64_t i = 0; i < n; ++i) {
    Wire stored{};
    std::memcpy(&stored, bytes.data() + i * sizeof(Wire), sizeof(Wire));
    values[i] = static_cast<Wide>(stored);
  }
  array = std::move(values);
  return absl::OkStatus();
}

absl::Status ReadBools(ByteReader& reader, uint64_t n, GgufArray& array) {
  std::span<const uint8_t> bytes;
  RETURN_IF_ERROR(reader.ReadBytes(n, &bytes));
  std::vector<bool> values(n);
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(values[i], ToBool(bytes[i]));
  }
  array = std::move(values);
  return absl::OkStatus();
}

absl::Status ReadStrings(ByteReader& reader, uint64_t n, GgufArray& array) {
  // Each string takes at least the eight bytes of its length.
  if (n > reader.remaining() / sizeof(uint64_t)) {
    return DataLoss(std::to_string(n) + " strings cannot fit into the " +
                    std::to_string(reader.remaining()) +
                    " bytes that are left of the file (is the download complete?)");
  }
  std::vector<std::string> values;
  values.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    std::string_view text;
    const absl::Status status = reader.ReadString(gguf_limits::kStringBytesMax, &text);
    if (!status.ok()) return WithContext(status, "element " + std::to_string(i));
    values.emplace_back(text);
  }
  array = std::move(values);
  return absl::OkStatus();
}

absl::Status ReadElements(ByteReader& reader, uint32_t type, uint64_t n, GgufArray& array) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kUint8:
      return ReadNumbers<uint8_t, uint64_t>(reader, n, array);
    case ValueType::kInt8:
      return ReadNumbers<int8_t, int64_t>(reader, n, array);
    case ValueType::kUint16:
      return ReadNumbers<uint16_t, uint64_t>(reader, n, array);
    case ValueType::kInt16:
      return ReadNumbers<int16_t, int64_t>(reader, n, array);
    case ValueType::kUint32:
      return ReadNumbers<uint32_t, uint64_t>(reader, n, array);
    case ValueType::kInt32:
      return ReadNumbers<int32_t, int64_t>(reader, n, array);
    case ValueType::kFloat32:
      return ReadNumbers<float, double>(reader, n, array);
    case ValueType::kUint64:
      return ReadNumbers<uint64_t, uint64_t>(reader, n, array);
    case ValueType::kInt64:
      return ReadNumbers<int64_t, int64_t>(reader, n, array);
    case ValueType::kFloat64:
      return ReadNumbers<double, double>(reader, n, array);
    case ValueType::kBool:
      return ReadBools(reader, n, array);
    case ValueType::kString:
      return ReadStrings(reader, n, array);
    case ValueType::kArray:
      return Unimplemented("arrays of arrays are not read");
  }
  return InvalidArgument("expected an element type from 0 to 12, got " + std::to_string(type));
}

absl::Status ReadArray(ByteReader& reader, uint64_t& elements_left, GgufValue& value) {
  uint32_t type = 0;
  uint64_t n = 0;
  RETURN_IF_ERROR(reader.Read(&type));
  RETURN_IF_ERROR(reader.Read(&n));
  if (n > elements_left) {
    return ResourceExhausted(
        "an array of " + std::to_string(n) + " elements exceeds the limit of " +
        std::to_string(gguf_limits::kArrayElementsMax) + " for all arrays of a file");
  }
  elements_left -= n;
  return ReadElements(reader, type, n, value.emplace<GgufArray>());
}

absl::Status ReadTyped(ByteReader& reader, uint32_t type, uint64_t& elements_left,
                       GgufValue& value) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kUint8:
      return ReadScalar<uint8_t, uint64_t>(reader, value);
    case ValueType::kInt8:
      return ReadScalar<int8_t, int64_t>(reader, value);
    case ValueType::kUint16:
      return ReadScalar<uint16_t, uint64_t>(reader, value);
    case ValueType::kInt16:
      return ReadScalar<int16_t, int64_t>(reader, value);
    case ValueType::kUint32:
      return ReadScalar<uint32_t, uint64_t>(reader, value);
    case ValueType::kInt32:
      return ReadScalar<int32_t, int64_t>(reader, value);
    case ValueType::kFloat32:
      return ReadScalar<float, double>(reader, value);
    case ValueType::kUint64:
      return ReadScalar<uint64_t, uint64_t>(reader, value);
    case ValueType::kInt64:
      return ReadScalar<int64_t, int64_t>(reader, value);
    case ValueType::kFloat64:
      return ReadScalar<double, double>(reader, value);
    case ValueType::kBool: {
      uint8_t byte = 0;
      RETURN_IF_ERROR(reader.Read(&byte));
      ASSIGN_OR_RETURN(value.emplace<bool>(), ToBool(byte));
      return absl::OkStatus();
    }
    case ValueType::kString: {
      std::string_view text;
      RETURN_IF_ERROR(reader.ReadString(gguf_limits::kStringBytesMax, &text));
      value.emplace<std::string>(text);
      return absl::OkStatus();
    }
    case ValueType::kArray:
      return ReadArray(reader, elements_left, value);
  }
  return InvalidArgument("expected a value type from 0 to 12, got " + std::to_string(type));
}

}  // namespace

absl::StatusOr<GgufValue> ReadValue(ByteReader& reader, uint64_t& elements_left) {
  uint32_t type = 0;
  RETURN_IF_ERROR(reader.Read(&type));
  GgufValue value;
  RETURN_IF_ERROR(ReadTyped(reader, type, elements_left, value));
  return value;
}

const char* KindName(const GgufValue& value) {
  // In the order of the alternatives of GgufValue and GgufArray.
  constexpr const char* kScalars[] = {"a signed integer", "an unsigned integer", "a float",
                                      "a truth value", "a string"};
  constexpr const char* kArrays[] = {"an array of signed integers", "an array of unsigned integers",
                                     "an array of floats", "an array of truth values",
                                     "an array of strings"};
  if (const auto* array = std::get_if<GgufArray>(&value)) return kArrays[array->index()];
  return kScalars[value.index()];
}

}  // namespace mortar
