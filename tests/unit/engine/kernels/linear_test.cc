// Goal: products agree with their definition, do not depend on tile, share or neighbours, and
// every instruction set gives the scalar reference's bits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "engine/kernels/pack.h"
#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {
namespace {

// Rows ready for a product, in all forms.
struct Rows {
  int n_rows, n_in;
  std::vector<float> x;
  Rounded<int8_t> narrow;
  Rounded<int16_t> wide;

  Rows(int rows, int width, std::vector<float> values)
      : n_rows(rows), n_in(width), x(std::move(values)), narrow(Scalar(), x), wide(Scalar(), x) {}
  Rows(int rows, int width, uint64_t seed, bool extreme)
      : Rows(rows, width,
             extreme ? ExtremeRow(rows * width, seed) : RandomRow(rows * width, seed, 2.0f)) {}

  // What a product reads for element i.
  double Element(ActivationType activation, size_t i) const {
    switch (activation) {
      case ActivationType::kF32:
        return static_cast<double>(x[i]);
      case ActivationType::kInt8:
        return narrow.Element(i);
      case ActivationType::kInt16:
        return wide.Element(i);
    }
    return 0;
  }
  LinearInput From(int row, int n) {
    const size_t at = static_cast<size_t>(row) * n_in;
    return {x.data() + at, narrow.rows().From(at), wide.rows().From(at), n};
  }
};

std::vector<float> Multiply(const KernelTable& kernels, const RandomMatrix& m, Rows& rows,
                            bool add = false) {
  std::vector<float> y = RandomRow(rows.n_rows * m.w.n_out, 99);
  kernels.linear(m.w, 0, m.w.n_groups(), rows.From(0, rows.n_rows), {y.data(), m.w.n_out, add});
  return y;
}

// d q is exact in binary32 for every type (11 + 8 + 5 bits at most), and a minimum is added with
// one rounding: an element is the nearest binary32 number.
TEST(Pack, UnpackedRowsAreTheFilesRows) {
  for (const ProductKind& kind : ProductKinds()) {
    const int n_in = WholeBlocks(kind.weights, 96);
    const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, 13, n_in, 5);
    const std::vector<double> want = FileWeights(m);
    for (int row = 0; row < 13; ++row) {
      std::vector<float> y(static_cast<size_t>(n_in));
      Scalar().unpack_row(m.w, row, y.data());
      for (int k = 0; k < n_in; ++k) {
        ASSERT_EQ(y[static_cast<size_t>(k)], static_cast<float>(want[row * n_in + k]))
            << Name(kind) << " row " << row << " input " << k;
      }
    }
  }
}

TEST(Linear, AgreesWithItsDefinitionInBinary64) {
  for (const ProductKind& kind : ProductKinds()) {
    const int n_in = WholeBlocks(kind.weights, 1184);
    const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, 21, n_in, 7);
    const std::vector<double> weights = FileWeights(m);
    Rows rows(3, n_in, 8, false);
    const std::vector<float> y = Multiply(Scalar(), m, rows);
    for (int row = 0; row < 3; ++row) {
      for (int o = 0; o < 21; ++o) {
        double want = 0, magnitude = 0;
        for (int k = 0; k < n_in; ++k) {
          const double product = weights[static_cast<size_t>(o) * n_in + k] *
                                 rows.Element(kind.rows, static_cast<size_t>(row) * n_in + k);
          want += product;
          magnitude += std::abs(product);
        }
        // At most 1,280 roundings; they walk like their root.
        ASSERT_NEAR(y[static_cast<size_t>(row) * 21 + o], want, magnitude * 0x1p-24 * 40)
            << Name(kind);
      }
    }
  }
}

TEST(Linear, DoesNotDependOnNeighboursOrShares) {
  for (const ProductKind& kind : ProductKinds()) {
    for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
      const int n_in = WholeBlocks(kind.weights, 608);
      const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, 40, n_in, 17);
      Rows rows(9, n_in, 18, false);
      const std::vector<float> whole = Multiply(*kernels, m, rows);
      std::vector<float> pieces(whole.size());
      for (int row = 0; row < 9; ++row) {
        for (int g = 0; g < m.w.n_groups(); ++g) {
          kernels->linear(m.w, g, g + 1, rows.From(row, 1),
                          {pieces.data() + static_cast<size_t>(row) * 40, 40, false});
        }
      }
      ASSERT_TRUE(SameBits(whole, pieces)) << kernels->name << ' ' << Name(kind);
    }
  }
}

TEST(Linear, AddsToWhatIsThere) {
  const RandomMatrix m = MakeMatrix(WeightType::kQ4_1, ActivationType::kInt8, 11, 64, 1);
  Rows rows(2, 64, 2, false);
  const std::vector<float> before = RandomRow(22, 99);
  const std::vector<float> product = Multiply(Scalar(), m, rows);
  const std::vector<float> sum = Multiply(Scalar(), m, rows, true);
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(sum[i], before[i] + product[i]);
}

// The largest magnitudes that can meet in one integer sum: a saturating step would show.
TEST(Linear, IntegerSumsNeverSaturate) {
  for (const ProductKind& kind : ProductKinds()) {
    if (!IsQuantized(kind.weights)) continue;
    for (const uint8_t byte : {uint8_t{0xff}, uint8_t{0x80}, uint8_t{0x7f}, uint8_t{0x00}}) {
      RandomMatrix m = MakeMatrix(kind.weights, kind.rows, 8, 512, 3);
      const auto block = static_cast<size_t>(FormatOf(kind.weights).bytes());
      for (size_t i = 0; i < m.file.size(); ++i) {
        if (PartOf(kind.weights, i % block) != BytePart::kHalf) m.file[i] = byte;
      }
      PackGroups(m.w, m.file.data(), 0, 1, m.packed.data());
      for (const float sign : {1.0f, -1.0f}) {
        Rows rows(1, 512, std::vector<float>(512, sign));
        const std::vector<float> want = Multiply(Scalar(), m, rows);
        for (const KernelTable* other : OtherKernels()) {
          ASSERT_TRUE(SameBits(want, Multiply(*other, m, rows))) << other->name << int{byte};
        }
      }
    }
  }
}

// Sums that leave binary32 stay infinite, in either direction and with whatever comes after.
TEST(Linear, OverflowingSumsAreInfiniteOnEveryInstructionSet) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const ProductKind& kind : ProductKinds()) {
    for (const float sign : {1.0f, -1.0f}) {
      RandomMatrix m = MakeMatrix(kind.weights, kind.rows, 8, 1024, 3);
      // The same block everywhere, with the largest scale: 0x7bff is 65504 as a half.
      const auto block = static_cast<size_t>(FormatOf(kind.weights).bytes());
      for (size_t i = 0; i < m.file.size(); ++i) {
        const BytePart part = PartOf(kind.weights, i % block);
        const bool in_half = !IsQuantized(kind.weights) || part == BytePart::kHalf;
        const bool has_sign = kind.weights == WeightType::kQ8_0 ||
                              (kind.weights == WeightType::kQ6_K && part == BytePart::kSmallScale);
        m.file[i] = in_half ? (i % 2 == 0 ? 0xff : 0x7b) : (has_sign ? 0x7f : 0xff);
      }
      PackGroups(m.w, m.file.data(), 0, 1, m.packed.data());
      // Minima of K types are taken off: an infinite one would leave no number.
      const bool takes_off = FormatOf(kind.weights).inputs == kSuperBlock;
      const float x = takes_off ? 0x1p100f : 0x1.8p127f;
      Rows rows(1, 1024, std::vector<float>(1024, sign * x));
      const std::vector<float> want = Multiply(Scalar(), m, rows);
      EXPECT_EQ(want, std::vector<float>(8, sign * kInf)) << Name(kind);
      for (const KernelTable* other : OtherKernels()) {
        EXPECT_TRUE(SameBits(want, Multiply(*other, m, rows))) << other->name << ' ' << Name(kind);
      }
    }
  }
}

// The outputs of the first n_rows rows are those of a product with these rows alone.
bool SameForAnyRows(const KernelTable& kernels, const RandomMatrix& m, Rows& rows,
                    const std::vector<float>& want) {
  // All that a tile of eight rows can be left with; some of it for wide matrices, which take most
  // of the time.
  for (const int n_rows : {1, 2, 3, 4, 5, 6, 7, rows.n_rows}) {
    if (m.w.n_in >= 768 && (n_rows == 4 || n_rows == 6 || n_rows == 7)) continue;
    std::vector<float> y(static_cast<size_t>(n_rows) * m.w.n_out);
    kernels.linear(m.w, 0, m.w.n_groups(), rows.From(0, n_rows), {y.data(), m.w.n_out, false});
    if (!SameBits({want.begin(), want.begin() + static_cast<ptrdiff_t>(y.size())}, y)) return false;
  }
  return true;
}

TEST(Linear, EveryInstructionSetGivesTheScalarBits) {
  constexpr int kRows = 17;  // more than two tiles of any instruction set
  for (const ProductKind& kind : ProductKinds()) {
    Shapes shapes;
    for (const int n_in : {32, 64, 256, 512, 544, 768, 1536}) {
      if (n_in != WholeBlocks(kind.weights, n_in)) continue;
      // The last has more groups than any instruction set takes at once.
      for (const int n_out : {1, 8, 13, n_in < 768 ? 40 : 136}) {
        if (!shapes.TakesNext()) continue;
        const auto seed = static_cast<uint64_t>(n_in + n_out * 10);
        const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, n_out, n_in, seed);
        for (const bool extreme : {false, true}) {
          Rows rows(kRows, n_in, seed + 1, extreme);
          const std::vector<float> want = Multiply(Scalar(), m, rows);
          for (const KernelTable* other : OtherKernels()) {
            ASSERT_TRUE(SameForAnyRows(*other, m, rows, want))
                << other->name << ' ' << Name(kind) << " [" << n_out << ", " << n_in << ']'
                << (extreme ? " extreme" : "");
          }
        }
      }
    }
  }
}

// Weights of floats come in rows of any length; tiles take some of their groups together.
TEST(Linear, FloatsOfAnyLengthGiveTheScalarBitsHoweverTheyAreSharedOut) {
  constexpr int kRows = 9;
  for (const ProductKind& kind : ProductKinds()) {
    if (IsQuantized(kind.weights)) continue;
    for (const int n_in : {1, 3, 33, 515, 1100}) {
      constexpr int kOut = 37;  // five groups, the last in part
      const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, kOut, n_in, 7);
      Rows rows(kRows, n_in, 8, false);
      const std::vector<float> want = Multiply(Scalar(), m, rows);
      for (const KernelTable* other : OtherKernels()) {
        ASSERT_TRUE(SameForAnyRows(*other, m, rows, want)) << other->name << ' ' << n_in;
        for (int cut = 0; cut <= m.w.n_groups(); ++cut) {
          std::vector<float> y(want.size());
          const LinearOutput out = {y.data(), kOut, false};
          other->linear(m.w, 0, cut, rows.From(0, kRows), out);
          other->linear(m.w, cut, m.w.n_groups(), rows.From(0, kRows), out);
          ASSERT_TRUE(SameBits(want, y)) << other->name << ' ' << n_in << " cut at " << cut;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mortar
