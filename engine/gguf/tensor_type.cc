#include <array>

#include "common/check.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/parse.h"

namespace mortar {
namespace {

struct TypeRow {
  TensorType type;
  const char* name;
  int block_elements;
  int block_bytes;
};

// Types of 32 have an f16 scale, those that end in 1 a minimum too, then quants of 4, 5 or 8 bits.
// Types of 256 have an f16 scale (Q2_K, Q4_K and Q5_K one of minima too), then smaller scales of
// sub-blocks: of 32 elements 8 pairs of 6 bits (Q4_K, Q5_K) or 8 of 6 bits (IQ4_XS), of 16 elements
// 16 bytes (Q2_K, Q6_K) or 16 of 6 bits (Q3_K).
constexpr std::array<TypeRow, 15> kTypes = {{
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ2_K, "Q2_K", 256, 84},
    {TensorType::kQ3_K, "Q3_K", 256, 110},
    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
    {TensorType::kIQ4_NL, "IQ4_NL", 32, 18},
    {TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
}};

const TypeRow& Row(TensorType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row;
  }
  CHECK(!"a TensorType outside the enumeration");
  return kTypes[0];
}

// Names of the format's other types, so that a refusal can say which one came.
const char* ForeignName(uint32_t number) {
  constexpr const char* kNames[] = {
      nullptr,   nullptr,  nullptr,   nullptr, nullptr, nullptr, nullptr, nullptr,
      nullptr,   "Q8_1",   nullptr,   nullptr, nullptr, nullptr, nullptr, "Q8_K",
      "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", nullptr, "IQ3_S", "IQ2_S", nullptr,
      "I8",      "I16",    "I32",     "I64",   "F64",   "IQ1_M", nullptr, nullptr,
      nullptr,   nullptr,  "TQ1_0",   "TQ2_0", nullptr, nullptr, nullptr, "MXFP4"};
  return number < std::size(kNames) ? kNames[number] : nullptr;
}

}  // namespace

const char* Name(TensorType type) { return Row(type).name; }
int BlockElements(TensorType type) { return Row(type).block_elements; }
int BlockBytes(TensorType type) { return Row(type).block_bytes; }

absl::StatusOr<TensorType> TensorTypeFromNumber(uint32_t number) {
  std::string known;
  for (const TypeRow& row : kTypes) {
    if (static_cast<uint32_t>(row.type) == number) return row.type;
    known += std::string(known.empty() ? "" : ", ") + row.name;
  }
  const char* const name = ForeignName(number);
  return Unimplemented("type " + std::to_string(number) +
                       (name ? std::string(" (") + name + ")" : "") +
                       " is not known here; known are " + known);
}

}  // namespace mortar
