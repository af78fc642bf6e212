// Goal: no change of a single bit goes unnoticed. The logits of stored tokens under numeric
// contract N1 have a stored digest, made once with the scalar kernels (n1_bits.json); every
// instruction set must give it. A difference means that nodes built before and after the change
// would disagree: that is a new contract with a new id (docs/numerics.md), never a new digest
// alone.
#include <gtest/gtest.h>

#include <bit>
#include <cstdio>
#include <span>
#include <string>

#include "tests/golden/golden_data.h"
#include "tests/golden/golden_model.h"

namespace mortar {
namespace {

// FNV-1a, 64 bits (Fowler, Noll, Vo), over the little-endian bytes of each logit.
class BitsDigest {
 public:
  void Add(std::span<const float> logits) {
    for (const float logit : logits) {
      const uint32_t bits = std::bit_cast<uint32_t>(logit);
      for (int shift = 0; shift < 32; shift += 8) {
        hash_ = (hash_ ^ ((bits >> shift) & 0xff)) * 0x100000001b3u;
      }
    }
  }
  std::string Hex() const {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

// Digest of the logits of positions [first, n) of the first n tokens of the first list.
void ExpectStoredBits(const std::string& isa, KvType kv_type, const std::string& name, size_t n,
                      int first, const std::string& key) {
  const absl::StatusOr<TokenLists> lists = ReadTokenLists(name);
  ASSERT_TRUE(lists.ok()) << Message(lists.status());
  ASSERT_GE((*lists)[0].size(), n);
  const absl::StatusOr<std::string> stored = ReadString("n1_bits.json", {key});
  ASSERT_TRUE(stored.ok()) << Message(stored.status());
  absl::StatusOr<std::unique_ptr<GoldenModel>> model = GoldenModel::Load(isa, kv_type);
  ASSERT_TRUE(model.ok()) << Message(model.status());
  BitsDigest digest;
  const absl::Status status =
      (*model)->teacher().Run(std::span((*lists)[0]).first(n), first,
                              [&](int, std::span<const float> logits) { digest.Add(logits); });
  ASSERT_TRUE(status.ok()) << Message(status);
  EXPECT_EQ(digest.Hex(), *stored) << key << " with " << (*model)->kernels() << " kernels";
}

// The whole prompt in the scalar kernels is slow; a third of it reads every weight as well.
TEST(Bits, ScalarKernelsGiveTheStoredOnes) {
  ExpectStoredBits("scalar", KvType::kF32, "prompts", 24, 0, "prompt_24_kv_f32");
}

TEST(Bits, ChosenKernelsGiveTheStoredOnes) {
  ExpectStoredBits(IsaOfEnvironment(), KvType::kF32, "prompts", 24, 0, "prompt_24_kv_f32");
}

TEST(Bits, ChosenKernelsGiveTheStoredOnesWithKvInF16) {
  ExpectStoredBits(IsaOfEnvironment(), KvType::kF16, "prompts", 24, 0, "prompt_24_kv_f16");
}

TEST(Bits, ChosenKernelsGiveTheStoredOnesWithKvInQ8_0) {
  ExpectStoredBits(IsaOfEnvironment(), KvType::kQ8_0, "prompts", 24, 0, "prompt_24_kv_q8_0");
}

// Sums over keys are cut at spans of 512 positions: 24 positions before and after the cut.
TEST(Bits, ChosenKernelsGiveTheStoredOnesAcrossASpanOfKeys) {
  ExpectStoredBits(IsaOfEnvironment(), KvType::kF32, "text", 536, 488, "text_536_kv_f32");
}

}  // namespace
}  // namespace mortar
