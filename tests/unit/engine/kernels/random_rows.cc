#include "tests/unit/engine/kernels/random_rows.h"

#include "common/random.h"
#include "engine/kernels/arith.h"
#include "engine/kernels/pack.h"

namespace mortar {
namespace {

// Halves of the file's formats, with values like those of trained models.
void PutHalf(std::vector<uint8_t>& out, float value) {
  const uint16_t half = FloatToHalf(value);
  out.push_back(static_cast<uint8_t>(half));
  out.push_back(static_cast<uint8_t>(half >> 8));
}

double HalfAt(const uint8_t* p) { return static_cast<double>(HalfToFloat(LoadU16(p))); }

}  // namespace

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
  const int inputs = IsQuantized(type) ? kBlock : 1;
  for (int row = 0; row < n_out; ++row) {
    for (int b = 0; b < n_in / inputs; ++b) {
      const auto at = static_cast<uint64_t>(row) * 100000 + static_cast<uint64_t>(b);
      const float value = (UniformDraw(seed, 2, at, 0) - 0.5f) * 0.2f;
      if (type == WeightType::kF32) {
        const auto bits = std::bit_cast<uint32_t>(value);
        for (int i = 0; i < 4; ++i) m.file.push_back(static_cast<uint8_t>(bits >> (8 * i)));
        continue;
      }
      if (type == WeightType::kBF16) {
        const uint32_t bits = std::bit_cast<uint32_t>(value);
        m.file.push_back(static_cast<uint8_t>(bits >> 16));
        m.file.push_back(static_cast<uint8_t>(bits >> 24));
        continue;
      }
      PutHalf(m.file, value);
      if (type == WeightType::kF16) continue;
      if (type == WeightType::kQ4_1) PutHalf(m.file, (UniformDraw(seed, 3, at, 0) - 0.5f) * 0.5f);
      std::vector<uint8_t> quants(type == WeightType::kQ8_0 ? 32 : 16);
      random.Fill(quants.data(), static_cast<int>(quants.size()));  // -128 among them
      m.file.insert(m.file.end(), quants.begin(), quants.end());
    }
  }
  m.packed.resize(m.w.bytes());
  m.w.data = m.packed.data();
  PackGroups(m.w, m.file.data(), 0, m.w.n_groups(), m.packed.data());
  return m;
}

double FileWeight(const RandomMatrix& m, int row, int k) {
  const uint8_t* line = m.file.data() + FileRowBytes(m.w.type, m.w.n_in) * static_cast<size_t>(row);
  const int b = k / kBlock;
  const int i = k % kBlock;
  switch (m.w.type) {
    case WeightType::kF32:
      return static_cast<double>(LoadF32(line + 4 * k));
    case WeightType::kF16:
      return HalfAt(line + 2 * k);
    case WeightType::kBF16:
      return static_cast<double>(Bf16ToFloat(LoadU16(line + 2 * k)));
    case WeightType::kQ8_0: {
      const uint8_t* block = line + 34 * b;
      return HalfAt(block) * static_cast<int8_t>(block[2 + i]);
    }
    case WeightType::kQ4_0: {
      const uint8_t* block = line + 18 * b;
      const int byte = block[2 + i % 16];
      return HalfAt(block) * ((i < 16 ? byte & 15 : byte >> 4) - 8);
    }
    case WeightType::kQ4_1: {
      const uint8_t* block = line + 20 * b;
      const int byte = block[4 + i % 16];
      return HalfAt(block) * (i < 16 ? byte & 15 : byte >> 4) + HalfAt(block + 2);
    }
  }
  return 0;
}

std::vector<const KernelTable*> OtherKernels() {
  std::vector<const KernelTable*> tables;
  for (const char* isa : {"avx2"}) {
    if (auto table = SelectKernels(isa); table.ok()) tables.push_back(*table);
  }
  return tables;
}

}  // namespace mortar
