#include "tests/unit/engine/kernels/random_rows.h"

#include <cstdlib>

#include "common/check.h"
#include "common/random.h"
#include "engine/kernels/arith.h"
#include "engine/kernels/pack.h"
#include "tests/support/gguf_decode.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

void PutHalf(float value, uint8_t* to) {
  const uint16_t half = FloatToHalf(value);
  std::memcpy(to, &half, sizeof(half));
}

// A block of a quantised type: any quants and small scales, halves like those of trained models.
void AppendRandomBlock(WeightType type, uint64_t seed, uint64_t at, SeededRandom& random,
                       std::vector<uint8_t>& out) {
  const BlockFormat format = FormatOf(type);
  std::vector<uint8_t> block(static_cast<size_t>(format.bytes()));
  random.Fill(block.data(), format.bytes());  // -128 among them
  uint32_t draw = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    if (PartOf(type, i) != BytePart::kHalf) continue;
    const float range = draw == 0 ? 0.2f : 0.5f;
    const float u = UniformDraw(seed, 2, at, draw++) - 0.5f;
    PutHalf(u * range / (format.inputs == kSuperBlock ? 32.0f : 1.0f), block.data() + i++);
  }
  out.insert(out.end(), block.begin(), block.end());
}

}  // namespace

bool Shapes::AreFew() {
  const char* shapes = std::getenv("KERNEL_SHAPES");
  return shapes != nullptr && std::string_view(shapes) == "few";
}

TensorType FileType(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return TensorType::kF32;
    case WeightType::kF16:
      return TensorType::kF16;
    case WeightType::kBF16:
      return TensorType::kBF16;
    case WeightType::kQ4_0:
      return TensorType::kQ4_0;
    case WeightType::kQ4_1:
      return TensorType::kQ4_1;
    case WeightType::kQ8_0:
      return TensorType::kQ8_0;
    case WeightType::kQ5_0:
      return TensorType::kQ5_0;
    case WeightType::kQ5_1:
      return TensorType::kQ5_1;
    case WeightType::kQ4_K:
      return TensorType::kQ4_K;
    case WeightType::kQ5_K:
      return TensorType::kQ5_K;
    case WeightType::kQ6_K:
      return TensorType::kQ6_K;
    case WeightType::kIQ4_NL:
      return TensorType::kIQ4_NL;
    case WeightType::kIQ4_XS:
      return TensorType::kIQ4_XS;
    case WeightType::kQ2_K:
      return TensorType::kQ2_K;
    case WeightType::kQ3_K:
      return TensorType::kQ3_K;
  }
  CHECK(false);
}

std::vector<ProductKind> ProductKinds() {
  std::vector<ProductKind> kinds;
  for (int i = 0; i < kWeightTypes; ++i) {
    const auto type = static_cast<WeightType>(i);
    kinds.push_back({type, ActivationOf(type, false)});
    const ActivationType outliers = ActivationOf(type, true);
    if (outliers != kinds.back().rows) kinds.push_back({type, outliers});
  }
  return kinds;
}

std::string Name(const ProductKind& kind) {
  const char* rows[] = {"f32", "int8", "int16"};
  return std::string(Name(FileType(kind.weights))) + " rows " + rows[static_cast<int>(kind.rows)];
}

int WholeBlocks(WeightType type, int n) {
  const int inputs = FormatOf(type).inputs;
  return (n + inputs - 1) / inputs * inputs;
}

BytePart PartOf(WeightType type, size_t at) {
  switch (type) {
    case WeightType::kF32:
    case WeightType::kBF16:
      return BytePart::kQuants;
    case WeightType::kQ4_1:
    case WeightType::kQ5_1:
      return at < 4 ? BytePart::kHalf : BytePart::kQuants;
    case WeightType::kQ4_K:
    case WeightType::kQ5_K:
      if (at < 4) return BytePart::kHalf;
      return at < 16 ? BytePart::kSmallScale : BytePart::kQuants;
    case WeightType::kQ6_K:
      if (at >= 208) return BytePart::kHalf;
      return at < 192 ? BytePart::kQuants : BytePart::kSmallScale;
    case WeightType::kQ2_K:
      if (at >= 80) return BytePart::kHalf;
      return at < 16 ? BytePart::kSmallScale : BytePart::kQuants;
    case WeightType::kQ3_K:
      if (at >= 108) return BytePart::kHalf;
      return at < 96 ? BytePart::kQuants : BytePart::kSmallScale;
    case WeightType::kIQ4_XS:
      if (at < 2) return BytePart::kHalf;
      return at < 8 ? BytePart::kSmallScale : BytePart::kQuants;
    default:
      return at < 2 ? BytePart::kHalf : BytePart::kQuants;
  }
}

std::vector<float> RandomRow(int n, uint64_t seed, float deviation) {
  std::vector<float> row(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) {
    float sum = -6;  // twelve uniform numbers have mean 6 and variance 1
    for (uint32_t draw = 0; draw < 12; ++draw) {
      sum += UniformDraw(seed, 0, static_cast<uint64_t>(i), draw);
    }
    row[static_cast<size_t>(i)] = sum * deviation;
  }
  return row;
}

std::vector<float> ExtremeRow(int n, uint64_t seed) {
  static constexpr float kValues[] = {
      0.0f, -0.0f, 0x1p-149f, -0x1p-130f, 0x1p-101f, 1e-30f, -1e-20f, 1.0f,    -1.0f,    0.5f,
      1.5f, -2.5f, 3.5f,      1e10f,      -1e15f,    126.5f, 127.0f,  -127.0f, 65504.0f, 1e-8f};
  std::vector<float> row(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) {
    const float u = UniformDraw(seed, 1, static_cast<uint64_t>(i), 0);
    row[static_cast<size_t>(i)] = kValues[static_cast<size_t>(u * std::size(kValues))];
  }
  return row;
}

RandomMatrix MakeMatrix(WeightType type, ActivationType activation, int n_out, int n_in,
                        uint64_t seed) {
  RandomMatrix m;
  m.w = {type, activation, n_out, n_in, nullptr};
  SeededRandom random(seed);
  for (int row = 0; row < n_out; ++row) {
    for (int b = 0; b < n_in / FormatOf(type).inputs; ++b) {
      const auto at = static_cast<uint64_t>(row) * 100000 + static_cast<uint64_t>(b);
      if (IsQuantized(type)) {
        AppendRandomBlock(type, seed, at, random, m.file);
        continue;
      }
      const float value = (UniformDraw(seed, 2, at, 0) - 0.5f) * 0.2f;
      const std::vector<uint8_t> bytes = EncodeTensor(FileType(type), {&value, 1});
      m.file.insert(m.file.end(), bytes.begin(), bytes.end());
    }
  }
  m.packed.resize(m.w.bytes());
  m.w.data = m.packed.data();
  PackGroups(m.w, m.file.data(), 0, m.w.n_groups(), m.packed.data());
  return m;
}

std::vector<double> FileWeights(const RandomMatrix& m) {
  return DecodeTensor(FileType(m.w.type), m.file);
}

}  // namespace mortar
