// The reference: the numeric contract written down as plainly as C++ allows. Every other
// instruction set must give these bits.
#include "engine/kernels/scalar/scalar.h"

#include <limits>

#include "engine/kernels/arith.h"
#include "engine/kernels/erf.h"
#include "engine/kernels/exp.h"
#include "engine/kernels/shared.h"
#include "engine/kernels/tanh.h"

namespace mortar {
namespace {

// NaN where one of the block is: it must not vanish in integers.
float LargestMagnitude(const float* x) {
  float amax = 0;
  for (int i = 0; i < kBlock; ++i) {
    if (x[i] != x[i]) return __builtin_nanf("");
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    if (magnitude > amax) amax = magnitude;
  }
  return amax;
}

template <typename Quant>
void Quantize(const float* x, int n, const RoundedRows<Quant>& to) {
  constexpr float kLargest = std::numeric_limits<Quant>::max();
  for (int b = 0; b < n / kBlock; ++b) {
    const float amax = LargestMagnitude(x + b * kBlock);
    const bool tiny = amax < 0x1p-100f;
    const float inverse = tiny ? 0.0f : kLargest / amax;
    int total = 0;
    for (int i = b * kBlock; i < (b + 1) * kBlock; ++i) {
      // The low bits of v + 1.5 * 2^23 are the nearest integer in two's complement.
      const float shifted = x[i] * inverse + 0x1.8p23f;
      to.q[i] = static_cast<Quant>(std::bit_cast<uint32_t>(shifted));
      total += to.q[i];
      if (i % kBlock == kBlock / 2 - 1) to.low[b] = total;
    }
    to.d[b] = tiny ? 0.0f : amax / kLargest;
    to.sum[b] = total;
    to.s[b] = to.d[b] * static_cast<float>(total);
  }
}

void RmsNorm(const float* x, const float* w, int n, float eps, float* y) {
  float partial[16] = {};
  for (int i = 0; i < n; ++i) partial[i % 16] += x[i] * x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(mean + eps);
  for (int i = 0; i < n; ++i) y[i] = (x[i] * scale) * w[i];
}

void LayerNorm(const float* x, const float* w, const float* b, int n, float eps, float* y) {
  float partial[16] = {};
  for (int i = 0; i < n; ++i) partial[i % 16] += x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  float squares[16] = {};
  for (int i = 0; i < n; ++i) squares[i % 16] += (x[i] - mean) * (x[i] - mean);
  const float variance = FoldSixteen(squares) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(variance + eps);
  for (int i = 0; i < n; ++i) y[i] = ((x[i] - mean) * scale) * w[i] + b[i];
}

void SiluMul(const float* g, const float* u, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = SiluScalar(g[i]) * u[i];
}

void GeluMul(const float* g, const float* u, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = GeluScalar(g[i]) * u[i];
}

void Gelu(float* x, int n) {
  for (int i = 0; i < n; ++i) x[i] = GeluExactScalar(x[i]);
}

void SoftCap(float* x, int n, float cap) {
  for (int i = 0; i < n; ++i) x[i] = SoftCapScalar(x[i], cap);
}

// Rows that meet an unpacked block before the next one is unpacked.
constexpr int kTileRows = 16;

// Adds 32 inputs to acc[r]: rule 4, for each scale's inputs in turn.
template <typename Quant>
void AddBlock(const WeightBlock& block, bool minima, const RoundedRows<Quant>& x, size_t stride,
              int n, float* acc) {
  const int inputs = kBlock / block.n;
  for (int r = 0; r < n; ++r) {
    const RoundedRows<Quant> row = x.From(static_cast<size_t>(r) * stride);
    for (int part = 0; part < block.n; ++part) {
      int dot = 0;
      int sum = 0;
      for (int k = part * inputs; k < (part + 1) * inputs; ++k) {
        dot += block.q[k] * row.q[k];
        sum += row.q[k];
      }
      acc[r] = Fma(static_cast<float>(dot), block.d[part] * row.d[0], acc[r]);
      if (minima) acc[r] = Fma(block.m[part], row.d[0] * static_cast<float>(sum), acc[r]);
    }
  }
}

// Adds one span of inputs to acc[r], the sum of one output for rows [row, row + n), rule 4.
template <typename Quant>
void QuantizedSpan(const PackedMatrix& w, const uint8_t* group, int lane,
                   const RoundedRows<Quant>& x, int row, int n, int begin, int end, float* acc) {
  const auto stride = static_cast<size_t>(w.n_in);
  const bool minima = FormatOf(w.type).minima;
  WeightBlock block;
  for (int b = begin / kBlock; b < end / kBlock; ++b) {
    LoadWeightBlock(w.type, group, b, lane, block);
    const size_t first = static_cast<size_t>(row) * stride + static_cast<size_t>(b) * kBlock;
    AddBlock(block, minima, x.From(first), stride, n, acc);
  }
}

void FloatSpan(const PackedMatrix& w, const uint8_t* group, int lane, const LinearInput& x, int row,
               int n, int begin, int end, float* acc) {
  for (int k = begin; k < end; ++k) {
    const float weight = FloatWeight(w.type, group, k, lane);
    for (int r = 0; r < n; ++r) {
      acc[r] = Fma(weight, x.x[static_cast<size_t>(row + r) * w.n_in + k], acc[r]);
    }
  }
}

// total[r] = one output for rows [row, row + n).
void Output(const PackedMatrix& w, const uint8_t* group, int lane, const LinearInput& x, int row,
            int n, float* total) {
  for (int begin = 0; begin < w.n_in; begin += kSpan) {
    const int end = begin + kSpan < w.n_in ? begin + kSpan : w.n_in;
    float acc[kTileRows] = {};
    switch (w.activation) {
      case ActivationType::kInt8:
        QuantizedSpan(w, group, lane, x.narrow, row, n, begin, end, acc);
        break;
      case ActivationType::kInt16:
        QuantizedSpan(w, group, lane, x.wide, row, n, begin, end, acc);
        break;
      case ActivationType::kF32:
        FloatSpan(w, group, lane, x, row, n, begin, end, acc);
        break;
    }
    for (int r = 0; r < n; ++r) total[r] = begin == 0 ? acc[r] : total[r] + acc[r];
  }
}

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
    for (int row = 0; row < x.n_rows; row += kTileRows) {
      const int n = x.n_rows - row < kTileRows ? x.n_rows - row : kTileRows;
      for (int lane = 0; lane < kLanes && g * kLanes + lane < w.n_out; ++lane) {
        float total[kTileRows];
        Output(w, group, lane, x, row, n, total);
        for (int r = 0; r < n; ++r) {
          float& out = y.y[static_cast<size_t>(row + r) * y.stride + g * kLanes + lane];
          out = y.add ? out + total[r] : total[r];
        }
      }
    }
  }
}

void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v) {
  if (shape.type == KvType::kQ8_0) {
    return StoreKvInBlocks(shape, layer, slot, k, v, Quantize<int8_t>);
  }
  for (int h = 0; h < shape.n_kv_heads; ++h) {
    uint8_t* keys = layer + KeysAt(shape, h, slot);
    uint8_t* value = layer + ValueAt(shape, h, slot);
    for (int d = 0; d < shape.head_dim; ++d) {
      const int key_at = 8 * d + slot % 8;
      const float k_value = k[h * shape.head_dim + d];
      const float v_value = v[h * shape.head_dim + d];
      if (shape.type == KvType::kF16) {
        const uint16_t k_half = FloatToHalf(k_value);
        const uint16_t v_half = FloatToHalf(v_value);
        std::memcpy(keys + 2 * key_at, &k_half, 2);
        std::memcpy(value + 2 * d, &v_half, 2);
      } else {
        std::memcpy(keys + 4 * key_at, &k_value, 4);
        std::memcpy(value + 4 * d, &v_value, 4);
      }
    }
  }
}

// Element d of one of eight keys, and of a value.
float KeyElement(KvType type, const uint8_t* keys, int lane, int d) {
  const int at = 8 * d + lane;
  if (type == KvType::kF32) return LoadF32(keys + 4 * at);
  if (type == KvType::kF16) return HalfToFloat(LoadU16(keys + 2 * at));
  const uint8_t* block = keys + d / kBlock * 8 * kKvBlockBytes;
  const auto q = static_cast<int8_t>(block[16 + d % kBlock * 8 + lane]);
  return HalfToFloat(LoadU16(block + 2 * lane)) * static_cast<float>(q);
}

float ValueElement(KvType type, const uint8_t* value, int d) {
  if (type == KvType::kF32) return LoadF32(value + 4 * d);
  if (type == KvType::kF16) return HalfToFloat(LoadU16(value + 2 * d));
  const uint8_t* block = value + d / kBlock * kKvBlockBytes;
  const auto q = static_cast<int8_t>(block[2 + d % kBlock]);
  return HalfToFloat(LoadU16(block)) * static_cast<float>(q);
}

struct SpanResult {
  float max;
  float sum;
};

// Rule 6 within one span: scores, their maximum, exp, the sum, and acc = sum of e v.
SpanResult AttendSpan(const AttendArgs& a, int begin, int end, float* acc) {
  const KvShape& shape = a.shape;
  const int from = a.first_key > begin ? a.first_key : begin;
  float max = -__builtin_inff();
  for (int p = from; p < end; ++p) {
    const uint8_t* keys = a.pages[p / kKvPagePositions] + a.layer_offset +
                          KeysAt(shape, a.kv_head, p % kKvPagePositions);
    float dot = 0;
    for (int d = 0; d < shape.head_dim; ++d) {
      dot = Fma(a.q[d], KeyElement(shape.type, keys, p % 8, d), dot);
    }
    const float scaled = dot * a.scale;
    const float score = a.cap > 0 ? SoftCapScalar(scaled, a.cap) : scaled;
    a.scores[p - begin] = score;
    if (score > max) max = score;
  }
  float partial[16] = {};
  for (int d = 0; d < shape.head_dim; ++d) acc[d] = 0;
  for (int p = from; p < end; ++p) {
    const float e = ExpScalar(a.scores[p - begin] - max);
    partial[p % 16] += e;
    const uint8_t* value = a.pages[p / kKvPagePositions] + a.layer_offset +
                           ValueAt(shape, a.kv_head, p % kKvPagePositions);
    for (int d = 0; d < shape.head_dim; ++d) {
      acc[d] = Fma(e, ValueElement(shape.type, value, d), acc[d]);
    }
  }
  return {max, FoldSixteen(partial)};
}

// Spans in ascending order, from the first that is seen, merged by the online-softmax formula.
void AttendOneHead(const AttendArgs& a) {
  float acc[kHeadDimMax];
  SpanResult whole{};
  const int first = a.first_key / kSpan * kSpan;
  for (int begin = first; begin < a.n_keys; begin += kSpan) {
    const int end = begin + kSpan < a.n_keys ? begin + kSpan : a.n_keys;
    if (begin == first) {
      whole = AttendSpan(a, begin, end, a.out);
      continue;
    }
    const SpanResult span = AttendSpan(a, begin, end, acc);
    const float max = span.max > whole.max ? span.max : whole.max;
    const float keep = ExpScalar(whole.max - max);
    const float join = ExpScalar(span.max - max);
    whole = {max, Fma(span.sum, join, whole.sum * keep)};
    for (int d = 0; d < a.shape.head_dim; ++d) {
      a.out[d] = Fma(acc[d], join, a.out[d] * keep);
    }
  }
  for (int d = 0; d < a.shape.head_dim; ++d) a.out[d] = a.out[d] / whole.sum;
}

void Attend(const AttendArgs& args) {
  AttendArgs head = args;
  for (int h = 0; h < args.n_heads; ++h) {
    AttendOneHead(head);
    head.q += args.shape.head_dim;
    head.out += args.shape.head_dim;
  }
}

}  // namespace

const KernelTable& ScalarKernels() {
  static constexpr KernelTable kTable = {
      .name = "scalar",
      .quantize = Quantize<int8_t>,
      .quantize_wide = Quantize<int16_t>,
      .rms_norm = RmsNorm,
      .layer_norm = LayerNorm,
      .silu_mul = SiluMul,
      .gelu_mul = GeluMul,
      .gelu = Gelu,
      .soft_cap = SoftCap,
      .rope = RopeLoop,
      .rope_halves = RopeHalvesLoop,
      .linear = Linear,
      .unpack_row = UnpackRowLoop,
      .store_kv = StoreKv,
      .attend = Attend,
  };
  return kTable;
}

}  // namespace mortar
