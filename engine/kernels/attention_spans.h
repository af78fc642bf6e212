// What KV and attention of every instruction set share: how many heads are taken at once, rule 6's
// spans of keys, and where keys and values are stored.
//
// `Vectors` is what an instruction set gives for it, a type of the caller's file alone:
//   kWidth, AtOnce(n_heads)          floats of a vector; vectors whose sums are held at once
//   Scores<type, heads>, ExpAndSum   of the keys of a span
//   WeighValues<type, heads, n>      the sums of e v for n vectors of elements
//   StoreVector<type>, StoreOne<type>  values as they are stored
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include "engine/kernels/arith.h"
#include "engine/kernels/exp.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/prefetch.h"
#include "engine/kernels/shared.h"

namespace mortar {

// Of one head over the keys of a span.
struct SpanResult {
  float max;
  float sum;
};

// The keys of a span that are seen: [from, end). `aligned`, a multiple of 16, is the first whose
// score is computed; scores[0] is that of `begin`.
struct SpanKeys {
  int begin;
  int aligned;
  int from;
  int end;
};

// Keys and values are asked for so many positions before they are read: KV lies in pages of 64
// positions, and a core's own prefetchers begin anew in each.
inline constexpr int kPositionsAhead = 32;

// Where the block of eight keys begins that position p is one of.
static inline const uint8_t* KeysOf(const AttendArgs& a, int p) {
  return a.pages[p / kKvPagePositions] + a.layer_offset +
         KeysAt(a.shape, a.kv_head, p % kKvPagePositions);
}

// Where the value of position p begins.
static inline const uint8_t* ValueOf(const AttendArgs& a, int p) {
  return a.pages[p / kKvPagePositions] + a.layer_offset +
         ValueAt(a.shape, a.kv_head, p % kKvPagePositions);
}

// Asks for the value that is read kPositionsAhead after that of p.
static inline void PrefetchValue(const AttendArgs& a, int p) {
  if (p + kPositionsAhead >= a.n_keys) return;
  Prefetch(ValueOf(a, p + kPositionsAhead),
           a.shape.bytes_of(static_cast<size_t>(a.shape.head_dim)));
}

// One element, floats or halves.
template <KvType kType>
static inline float LoadKv(const uint8_t* base, size_t at) {
  return kType == KvType::kF16 ? HalfToFloat(LoadU16(base + 2 * at)) : LoadF32(base + 4 * at);
}

// The sum of e v for element `at` of head h alone: the last of a width that vectors do not divide,
// which q8_0 has not. a.scores: e.
template <KvType kType>
static inline float WeighValue(const AttendArgs& a, const SpanKeys& keys, int h, int at) {
  float acc = 0;
  for (int p = keys.from; p < keys.end; ++p) {
    const float value = LoadKv<kType>(ValueOf(a, p), static_cast<size_t>(at));
    acc = Fma(a.scores[h * kSpan + p - keys.begin], value, acc);
  }
  return acc;
}

// The sums of a later span joined to those of all before it.
static inline void JoinSpan(const SpanResult& span, const float* acc, int head_dim,
                            SpanResult& whole, float* out) {
  const float max = span.max > whole.max ? span.max : whole.max;
  const float keep = ExpScalar(whole.max - max);
  const float join = ExpScalar(span.max - max);
  whole = {max, Fma(span.sum, join, whole.sum * keep)};
  for (int d = 0; d < head_dim; ++d) out[d] = Fma(acc[d], join, out[d] * keep);
}

// kHeads heads over all keys, where attend_span(keys, acc, results) takes those of one span: acc
// is [kHeads, head_dim], results [kHeads].
template <int kHeads, typename AttendSpan>
static inline void AttendHeads(const AttendArgs& a, const AttendSpan& attend_span) {
  const int head_dim = a.shape.head_dim;
  float acc[kHeads * kHeadDimMax];
  SpanResult whole[kHeads];
  const int first = a.first_key / kSpan * kSpan;
  for (int begin = first; begin < a.n_keys; begin += kSpan) {
    const int end = begin + kSpan < a.n_keys ? begin + kSpan : a.n_keys;
    const int from = a.first_key > begin ? a.first_key : begin;
    const SpanKeys keys = {begin, from / 16 * 16, from, end};
    if (begin == first) {
      attend_span(keys, a.out, whole);
      continue;
    }
    SpanResult span[kHeads];
    attend_span(keys, acc, span);
    for (int h = 0; h < kHeads; ++h) {
      JoinSpan(span[h], acc + h * head_dim, head_dim, whole[h], a.out + h * head_dim);
    }
  }
  for (int h = 0; h < kHeads; ++h) {
    for (int d = 0; d < head_dim; ++d) a.out[h * head_dim + d] /= whole[h].sum;
  }
}

// Calls attend<kHeads>(share) for as many heads at once as there are, in shares of one size: four
// are two and two.
template <typename Attend>
static inline void ForShares(AttendArgs a, const Attend& attend) {
  const int shares = (a.n_heads + kHeadsAtOnce - 1) / kHeadsAtOnce;
  for (int share = shares; share > 0; --share) {
    const int n = (a.n_heads + share - 1) / share;
    switch (n) {
      case 3:
        attend.template operator()<3>(a);
        break;
      case 2:
        attend.template operator()<2>(a);
        break;
      default:
        attend.template operator()<1>(a);
        break;
    }
    a.q += n * a.shape.head_dim;
    a.out += n * a.shape.head_dim;
    a.n_heads -= n;
  }
}

// The keys of one span.  acc: [kHeads, head_dim].
template <typename Vectors, KvType kType, int kHeads>
static void AttendSpan(const AttendArgs& a, const SpanKeys& keys, float* acc,
                       SpanResult (&span)[kHeads]) {
  constexpr int kAtOnce = Vectors::AtOnce(kHeads);
  constexpr int kWidth = Vectors::kWidth;
  float max[kHeads];
  Vectors::template Scores<kType>(a, keys, max);
  for (int h = 0; h < kHeads; ++h) {
    float* scores = a.scores + h * kSpan + (keys.aligned - keys.begin);
    span[h] = {max[h], Vectors::ExpAndSum(scores, keys.end - keys.aligned, max[h])};
  }
  const int head_dim = a.shape.head_dim;
  int first = 0;
  for (; first + kWidth * kAtOnce <= head_dim; first += kWidth * kAtOnce) {
    Vectors::template WeighValues<kType, kHeads, kAtOnce>(a, keys, first, acc);
  }
  for (; first + kWidth <= head_dim; first += kWidth) {
    Vectors::template WeighValues<kType, kHeads, 1>(a, keys, first, acc);
  }
  for (; first < head_dim; ++first) {
    for (int h = 0; h < kHeads; ++h) {
      acc[h * head_dim + first] = WeighValue<kType>(a, keys, h, first);
    }
  }
}

template <typename Vectors, KvType kType>
static void AttendOf(const AttendArgs& args) {
  ForShares(args, []<int kHeads>(const AttendArgs& a) {
    AttendHeads<kHeads>(a, [&](const SpanKeys& keys, float* acc, SpanResult(&span)[kHeads]) {
      AttendSpan<Vectors, kType>(a, keys, acc, span);
    });
  });
}

template <typename Vectors>
static void AttendWith(const AttendArgs& args) {
  switch (args.shape.type) {
    case KvType::kF32:
      return AttendOf<Vectors, KvType::kF32>(args);
    case KvType::kF16:
      return AttendOf<Vectors, KvType::kF16>(args);
    case KvType::kQ8_0:
      return AttendOf<Vectors, KvType::kQ8_0>(args);
  }
}

// Keys and values of one position, floats or halves.
template <typename Vectors, KvType kType>
static void StoreKvOf(const KvShape& shape, uint8_t* layer, int slot, const float* k,
                      const float* v) {
  for (int h = 0; h < shape.n_kv_heads; ++h) {
    const size_t at = static_cast<size_t>(h) * shape.head_dim;
    uint8_t* keys = layer + KeysAt(shape, h, slot);
    uint8_t* value = layer + ValueAt(shape, h, slot);
    for (int d = 0; d < shape.head_dim; ++d) {
      Vectors::template StoreOne<kType>(keys, static_cast<size_t>(8 * d + slot % 8), k[at + d]);
    }
    int d = 0;
    for (; d + Vectors::kWidth <= shape.head_dim; d += Vectors::kWidth) {
      Vectors::template StoreVector<kType>(value, static_cast<size_t>(d), v + at + d);
    }
    for (; d < shape.head_dim; ++d) {
      Vectors::template StoreOne<kType>(value, static_cast<size_t>(d), v[at + d]);
    }
  }
}

template <typename Vectors, typename Quantize>
static void StoreKvWith(const KvShape& shape, uint8_t* layer, int slot, const float* k,
                        const float* v, Quantize quantize) {
  switch (shape.type) {
    case KvType::kF32:
      return StoreKvOf<Vectors, KvType::kF32>(shape, layer, slot, k, v);
    case KvType::kF16:
      return StoreKvOf<Vectors, KvType::kF16>(shape, layer, slot, k, v);
    case KvType::kQ8_0:
      return StoreKvInBlocks(shape, layer, slot, k, v, quantize);
  }
}

}  // namespace mortar
